import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { gradcast, spawnGradcast } from '../support/worker-process.ts';
import { parseFromWorker } from '../../shared/protocol/frame.ts';
import { ExitCode } from '../../shared/util/exit-codes.ts';

test('an invalid link is an error that shows a valid one', async () => {
  const worker = spawnGradcast(['worker', 'lab-7']);
  expect(await worker.ended).toBe(1);
  expect(worker.output()).toMatch(/'lab-7' is not the address of a coordinator\. It looks like http:/);
});

test.each([
  ['empty', ''],
  ['too long', 'x'.repeat(201)],
])('a token that no coordinator accepts is an error at once: %s', async (_, token) => {
  for (const [args, env] of [
    [['worker', 'ws://127.0.0.1:1', '--token', token], {}],
    [['status', 'ws://127.0.0.1:1'], { GRADCAST_TOKEN: token }],
  ] as const) {
    const command = spawnGradcast(args, { ...process.env, ...env });
    expect(await command.ended).toBe(1);
    expect(command.output()).toContain('1 to 200 characters; leave it out if the coordinator has none.');
  }
});

test.each<[string, (child: ReturnType<typeof sibling>) => void, number]>([
  ['by SIGTERM', (child) => void child.kill('SIGTERM'), ExitCode.workerTerminated],
  ['by closed stdin', (child) => void child.stdin.end(), ExitCode.interrupted],
])('the exit code of one of several workers says how it was stopped: %s', async (_, end, expected) => {
  const child = sibling();
  const code = new Promise((resolve) => child.once('close', resolve));
  let output = '';
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (data: Buffer) => {
      output += data.toString();
      if (output.includes('No connection to')) resolve();
    });
  });
  end(child);
  expect(await code).toBe(expected);
});

test('several workers of a machine say its name, and each has a name of its own', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close());
  await once(server, 'listening');
  const machines = new Map<string, string | undefined>();
  const haveJoined = new Promise<void>((resolve) => {
    server.on('connection', (socket) =>
      socket.once('message', (data: Buffer) => {
        const { message } = parseFromWorker(data);
        if (message.type !== 'hello') return;
        machines.set(message.name, message.machine);
        if (machines.size === 2) resolve();
      }),
    );
  });
  const { port } = server.address() as AddressInfo;
  const options = ['--workers', '2', '--engine', 'wasm', '--name', 'node-7'];
  const worker = spawnGradcast(['worker', `ws://127.0.0.1:${port}`, ...options]);
  await haveJoined;
  expect(Object.fromEntries(machines)).toEqual({ 'node-7-1': 'node-7', 'node-7-2': 'node-7' });
  worker.kill('SIGINT');
  await worker.ended;
});

/** One of several workers, without a coordinator: it says so when it can be ended in order. */
function sibling() {
  const options = ['worker', 'ws://127.0.0.1:1', '--workers', '1', '--engine', 'wasm', '--quiet'];
  return spawn(process.execPath, [gradcast, ...options], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { ...process.env, GRADCAST_SIBLING: '1', GRADCAST_LEASH: 'stdin' },
  });
}
