import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { waitForOutput } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, remove } = await makeRuns();
afterAll(remove);

const layer = (className: string, config: object) => ({ class_name: className, config });
const model = layer('Sequential', {
  name: 'tiny',
  layers: [
    layer('Flatten', { name: 'flatten', batch_input_shape: [null, 28, 28, 1], dtype: 'float32' }),
    layer('Dropout', { name: 'dropout', rate: 0.25 }),
    layer('Dense', { name: 'dense', units: 10, activation: 'softmax', use_bias: true }),
  ],
});

async function readHistory(out: string): Promise<Record<string, number>> {
  return JSON.parse(await readFile(join(out, 'history.jsonl'), 'utf8')) as Record<string, number>;
}

test('the smallest worker of docs/examples trains a model alone, as a worker of gradcast does', async () => {
  const file = join(scratch, 'tiny.json');
  await writeFile(file, JSON.stringify(model));
  const start = async (out: string) => {
    const options = ['--data', data, '--model', file, '--epochs', '1', '--host', '127.0.0.1', '--port', '0'];
    const coordinator = gradcast('coordinator', ...options, '--out', join(scratch, out));
    await waitForOutput(coordinator, /Waiting for the first worker/);
    return { coordinator, port: /http:\/\/127\.0\.0\.1:(\d+)/.exec(coordinator.output())?.[1] ?? '' };
  };

  const one = await start('smallest');
  const worker = spawn(process.execPath, ['docs/examples/smallest-worker.js', `ws://127.0.0.1:${one.port}/`]);
  const ended = once(worker, 'exit');
  expect(await one.coordinator.ended, one.coordinator.output()).toBe(0);
  expect(await ended).toEqual([0, null]);
  expect(one.coordinator.output()).toContain('+ smallest joined: plain JavaScript');

  const other = await start('gradcast');
  const url = `http://127.0.0.1:${other.port}/`;
  const usual = gradcast('worker', url, '--workers', '1', '--engine', 'wasm');
  expect(await other.coordinator.ended, other.coordinator.output()).toBe(0);
  expect(await usual.ended, usual.output()).toBe(0);

  const mine = await readHistory(join(scratch, 'smallest'));
  const expected = await readHistory(join(scratch, 'gradcast'));
  for (const key of ['loss', 'val_loss']) expect(mine[key]).toBeCloseTo(expected[key] as number, 4);
});
