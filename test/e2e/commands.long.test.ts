import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, train, history, timelessHistory, remove } = await makeRuns();
afterAll(remove);

// Without --exact, the sum of several workers depends on the partition and so on how busy the machine is.
test.each([
  ['one worker', ['--workers', '1']],
  ['two workers with --exact', ['--exact']],
])('the same seed gives the same history, to the last bit, with %s', async (name, options) => {
  const outs = [1, 2].map((time) => `again-${name.slice(0, 3)}-${time}`);
  const runs = outs.map((out) => train(out, '--epochs', '1', ...options));
  for (const run of runs) expect(await run.ended, run.output()).toBe(0);
  const [first, second] = await Promise.all(outs.map((out) => timelessHistory(out)));
  expect(first).toHaveLength(1);
  expect(second).toEqual(first);
});

test('a run with --codec reports the codec and saves the weights that it has evaluated', async () => {
  const run = train('lossy', '--epochs', '1', '--codec', 'int4');
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toMatch(/joined: .*, int4\/int8/);
  const [record] = await history('lossy');
  expect(record).toMatchObject({ codec: 'int4/int8' });
  expect(JSON.parse(await readFile(join(scratch, 'lossy/config.json'), 'utf8'))).toMatchObject({
    codec: 'int4',
  });
  const evaluated = gradcast('evaluate', join(scratch, 'lossy/model'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
  expect(Number(/Test accuracy: ([\d.]+)/.exec(evaluated.output())?.[1])).toBe(record!.val_accuracy);
}, 60_000);

test('a model file without weights is trained from its topology', async () => {
  const file = join(scratch, 'model.json');
  const layer = (class_name: string, config: object) => ({ class_name, config });
  const layers = [
    layer('Conv2D', {
      filters: 4,
      kernel_size: [5, 5],
      strides: [2, 2],
      padding: 'same',
      activation: 'relu',
      batch_input_shape: [null, 28, 28, 1],
    }),
    layer('BatchNormalization', {}),
    layer('Dropout', { rate: 0.1 }),
    layer('GlobalAveragePooling2D', {}),
    layer('Dense', { units: 10, activation: 'softmax' }),
  ];
  await writeFile(file, JSON.stringify({ class_name: 'Sequential', config: { name: 'mine', layers } }));
  const run = train('own-model', '--epochs', '1', '--model', file);
  expect(await run.ended, run.output()).toBe(0);
  expect(await history('own-model')).toHaveLength(1);
});
