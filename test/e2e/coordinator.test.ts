import { spawn } from 'node:child_process';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { afterAll, expect, test } from 'vitest';
import { waitForOutput, spawnGradcast } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, train, remove } = await makeRuns();
afterAll(remove);

test('a coordinator trains with attached workers and rejects those without the token', async () => {
  const options = [
    '--data',
    data,
    '--out',
    join(scratch, 'attached'),
    '--epochs',
    '1',
    '--host',
    '127.0.0.1',
  ];
  const coordinator = gradcast('coordinator', ...options, '--port', '0', '--token', 's3cret');
  await waitForOutput(coordinator, /Join from this machine: .* http:.*#TOKEN/);
  const link = / http:[^ ]+#/.exec(coordinator.output())?.[0].trim() ?? '';
  const client = gradcast('worker', `${link}guess`, '--workers', '1', '--engine', 'wasm');
  expect(await client.ended).toBe(1);
  expect(client.output()).toContain('Wrong token');
  const worker = gradcast('worker', `${link}s3cret`, '--workers', '2', '--engine', 'wasm', '--name', 'lab');
  expect(await coordinator.ended, coordinator.output()).toBe(0);
  expect(await worker.ended, worker.output()).toBe(0);
  expect(coordinator.output()).toContain('+ lab-1 joined');
  const config = await readFile(join(scratch, 'attached/config.json'), 'utf8');
  expect(config).not.toContain('s3cret');
  expect(JSON.parse(config)).toMatchObject({
    optimizer: { name: 'adadelta', learningRate: 1, rho: 0.95 },
    token: 'set',
  });
});

test('a port in use is an error at once for the second coordinator', async () => {
  const args = ['coordinator', '--data', data, '--host', '127.0.0.1', '--out'];
  const first = gradcast(...args, join(scratch, 'port-1'), '--port', '0');
  await waitForOutput(first, /Listening on http:.*:\d+/);
  const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(first.output())?.[1] ?? '';
  const second = gradcast(...args, join(scratch, 'port-2'), '--port', port);
  expect(await second.ended, second.output()).toBe(1);
  expect(second.output()).toMatch(/the port is in use\. Choose another with --port/);
  first.kill('SIGINT');
  expect(await first.ended, first.output()).toBe(130);
  expect(first.output()).toContain('Stopping; no step is finished yet. Ctrl-C again stops at once.');
  expect(first.output()).toContain('there is no model');
  // Neither run has left a folder that would block the next run.
  expect((await readdir(scratch)).filter((name) => name.startsWith('port'))).toEqual([]);
});

test('a coordinator ends cleanly when its output pipe is closed', async () => {
  const args = [
    'coordinator',
    '--data',
    data,
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--out',
    join(scratch, 'piped'),
  ];
  const run = spawn(process.execPath, ['bin/gradcast.js', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const out: string[] = [];
  const error: string[] = [];
  run.stderr.on('data', (data: Buffer) => error.push(data.toString()));
  await new Promise<void>((resolve) => {
    run.stdout.on('data', (data: Buffer) => {
      out.push(data.toString());
      if (out.join('').includes('Waiting for the first worker')) resolve();
    });
  });
  run.stdout.destroy();
  const client = new WebSocket(/http:[^,\s]+/.exec(out.join(''))![0]);
  client.on('open', () => client.send(Uint8Array.of(0)));
  client.on('error', () => undefined);
  expect(await new Promise((resolve) => run.once('exit', resolve))).toBe(130);
  expect(error.join('')).toBe('');
});

test('the run ends with the error of its workers if they cannot start', async () => {
  // This engine looks installed but cannot be loaded. The environment hides the machine's own engine.
  const broken = join(scratch, 'broken');
  const folder = join(broken, 'node_modules/@tensorflow/tfjs-node');
  await mkdir(join(folder, 'lib/napi-v8'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "name": "@tensorflow/tfjs-node", "main": "index.js" }');
  await writeFile(join(folder, 'lib/napi-v8/tfjs_binding.node'), 'no addon');
  const env = { ...process.env, XDG_CACHE_HOME: scratch, HOME: scratch, GRADCAST_NATIVE_DIR: broken };
  const args = ['train', '--data', data, '--out', join(scratch, 'no-engine'), '--engine', 'native'];
  const run = spawnGradcast([...args, '--workers', '2'], env);
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/The workers on this machine have ended: .*No native TensorFlow/);
});

test('local workers end when their coordinator is killed', async () => {
  const run = train('killed', '--epochs', '10000');
  await waitForOutput(run, /Epoch 1\/10000/);
  const worker = spawnGradcast([
    'worker',
    /http:[^,\s]+/.exec(run.output())![0],
    '--workers',
    '1',
    '--engine',
    'wasm',
  ]);
  await waitForOutput(run, /\+ local-2 joined/);
  run.kill('SIGKILL');
  expect(await run.ended).toBe('SIGKILL');
  // The run's pipes close only when its last local worker has ended. An attached worker keeps reconnecting.
  await waitForOutput(worker, /Trying again/);
  worker.kill('SIGTERM');
  expect(await worker.ended).toBe(130);
});
