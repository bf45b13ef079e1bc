import { cp, readdir, writeFile } from 'node:fs/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleFile } from '../../shared/model/custom-code.ts';
import { exampleBundle, exampleFile } from '../support/custom-code.ts';
import { spawnGradcast, waitForOutput, type WorkerProcess } from '../support/worker-process.ts';

let scratch = '';
/** A copy of examples/custom-layer. */
let example = '';
let hash = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'gradcast-custom-code-'));
  example = join(scratch, 'example');
  await cp(dirname(exampleFile), example, { recursive: true });
  ({ hash } = (await exampleBundle()).code);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const gradcast = (...args: string[]): WorkerProcess =>
  spawnGradcast(args, { ...process.env, GRADCAST_TOKEN: undefined });
const file = (name: string): string => join(example, name);
const data = (): string[] => ['--data', file('houses.csv'), '--target', 'price'];
const wasm = ['--engine', 'wasm', '--workers', '1'];

async function finish(
  command: WorkerProcess,
): Promise<{ readonly code: number | string; readonly output: string }> {
  return { code: await command.ended, output: command.output() };
}

test('the example trains on workers of this machine, and its model runs only with --trust', async () => {
  const out = join(scratch, 'run');
  const trained = await finish(gradcast('train', file('task.json'), '--out', out, '--epochs', '2', ...wasm));
  expect(trained.output).toMatch(/Epoch 2\/2: 6\/6 .* withinHalf: \d\.\d+ .* val_loss: \d/);
  expect(trained.output).toContain(
    `Custom code: layer ScaledResidualDense, loss asymmetricError, metric withinHalf. SHA-256 ${hash}`,
  );
  expect(trained.output).toContain(`--trust ${hash}`);
  expect(trained.code).toBe(0);
  expect(await readdir(join(out, 'model'))).toContain(bundleFile(hash));

  const evaluate = ['evaluate', out, ...data(), ...wasm];
  const refused = await finish(gradcast(...evaluate));
  expect(refused.output).toContain(`Read ${bundleFile(hash)} in it, then use --trust ${hash}`);
  expect(refused.code).toBe(1);
  const trusted = await finish(gradcast(...evaluate, '--trust', hash));
  expect(trusted.output).toMatch(/Test loss: \d+\.\d+\nTest withinHalf: \d\.\d+/);

  const predict = ['predict', out, file('houses.csv'), '--json', '--engine', 'wasm'];
  expect((await finish(gradcast(...predict))).output).toContain(`then use --trust ${hash}`);
  const predicted = await finish(gradcast(...predict, '--trust', hash));
  expect(predicted.code).toBe(0);
  expect(predicted.output.match(/^\{.*\}$/gm)).toHaveLength(240);

  const exported = await finish(gradcast('export', out, '--out', join(out, 'm.onnx')));
  expect(exported.output).toContain(
    'Layer residual (ScaledResidualDense) is custom code, which the format onnx cannot express.',
  );
  expect((await finish(gradcast('export', out, '--format', 'safetensors'))).code).toBe(0);

  const resume = ['train', '--resume', out, '--epochs', '3', ...data(), ...wasm];
  const distrusted = await finish(gradcast(...resume));
  expect(distrusted.output).toContain('which is not run unasked');
  const resumed = await finish(gradcast(...resume, '--trust', hash));
  expect(resumed.output).toMatch(/Epoch 3\/3: 6\/6/);

  // Changed code has another hash, whatever the name of its file.
  await writeFile(join(out, 'model', bundleFile(hash)), 'throw new Error("run");');
  const changed = await finish(gradcast(...evaluate, '--trust', hash));
  expect(changed.output).toMatch(
    /has other custom code \(SHA-256 [0-9a-f]{64}\) than its job names .* It was not run\./,
  );
});

test('a worker of another person joins with --trust, and declines without', async () => {
  const coordinator = gradcast(
    ...['coordinator', file('task.json'), '--host', '127.0.0.1', '--port', '0', '--token', 't'],
    ...['--out', join(scratch, 'shared'), '--epochs', '2'],
  );
  await waitForOutput(coordinator, /Listening on (http:\S+)/);
  const [, url = ''] = /Listening on (http:[^\s#]+)/.exec(coordinator.output()) ?? [];
  const base = url.replace(/\/?$/, '/');

  const without = await finish(gradcast('worker', url, '--token', 't', ...wasm));
  expect(without.code).toBe(1);
  expect(without.output).toContain(
    'The run computes with code that a person wrote (layer ScaledResidualDense, loss asymmetricError, metric withinHalf), ' +
      `which this worker does not run unasked. Read it at ${base}custom/${hash}.js, then use: gradcast worker ${base} --trust ${hash}`,
  );
  const other = await finish(gradcast('worker', url, '--token', 't', ...wasm, '--trust', 'f'.repeat(64)));
  expect(other.code).toBe(1);

  const response = await fetch(`${base}custom/${hash}.js`);
  expect(await response.text()).toContain('class ScaledResidualDense');
  expect(response.headers.get('content-type')).toMatch(/^text\/javascript/);
  expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  for (const path of [`custom/${'f'.repeat(64)}.js`, 'custom/', `custom/${hash}.js/..`, `custom-${hash}.js`])
    expect((await fetch(base + path)).status, path).toBe(404);

  const worker = gradcast('worker', url, '--token', 't', ...wasm, '--trust', hash);
  expect(await worker.ended).toBe(0);
  expect(await coordinator.ended).toBe(0);
  expect(coordinator.output()).toMatch(/Epoch 2\/2: 6\/6/);
});
