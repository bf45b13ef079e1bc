import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { train } from '../../coordinator/index.ts';
import type { OutputSettings } from '../../coordinator/model/output-settings.ts';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { twoInputsTwoOutputs } from '../support/functional-model.ts';
import { testCoordinator, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const stream = randomStream(4, Purpose.syntheticDigits);
const floats = (length: number) => Float32Array.from({ length }, () => stream.normal());

/** Samples of two inputs with a class, a vector and a weight. */
function split(count: number): Split {
  return {
    inputs: [floats(6 * count), floats(4 * count)],
    targets: [Int32Array.from({ length: count }, () => stream.below(3)), floats(2 * count)],
    weights: Float32Array.from({ length: count }, () => stream.uniform()),
    count,
  };
}

const dataset: Dataset = {
  name: 'made',
  description: '',
  inputs: [
    { name: 'x0', shape: [6], dtype: 'float32' },
    { name: 'x1', shape: [4], dtype: 'float32' },
  ],
  targets: [
    { name: 'class', shape: [], dtype: 'int32', classes: 3 },
    { name: 'value', shape: [2], dtype: 'float32' },
  ],
  train: split(96),
  test: split(30),
};

/** Trains on a number of workers. */
async function run(
  workers: number,
  microShard?: number,
  metrics: OutputSettings['metrics'] = { a: ['accuracy', { name: 'auc', weighted: true }], b: ['mae'] },
) {
  const coordinator = await testCoordinator(dataset, {
    batchSize: 24,
    epochs: 2,
    topology: twoInputsTwoOutputs,
    lossWeights: { b: 0.3 },
    metrics,
    microShard,
  });
  const engine = await wasmEngine();
  const attached = Array.from({ length: workers }, (_, i) => attachWorker(coordinator.url, `w${i}`, engine));
  await waitForWorkersReady(coordinator, workers);
  const { weights, history } = await trainToEnd(coordinator, dataset);
  await coordinator.close('done');
  await Promise.all(attached.map(({ ended }) => ended));
  return { weights, history };
}

test('a model with two inputs and outputs has the same result with one and three workers, by Keras’ names', async () => {
  const one = await run(1);
  const three = await run(3);
  const names = ['loss', 'a_loss', 'a_accuracy', 'a_auc', 'b_loss', 'b_mae'];
  for (const name of names.flatMap((metric) => [metric, `val_${metric}`])) {
    const [expected, value] = [one, three].map(({ history }) => history.at(-1)?.[name] as number);
    expect(value, name).toBeCloseTo(expected!, 4);
  }
  const { loss, a_loss: a, b_loss: b } = one.history.at(-1)!;
  expect(loss).toBeCloseTo((a as number) + 0.3 * (b as number), 9);
  const differences = one.weights.map((value, i) => Math.abs(value - three.weights[i]!));
  expect(Math.max(...differences)).toBeLessThan(1e-3);
});

test('a model of a run predicts all of its outputs, in lists for lists', async () => {
  const engine = await wasmEngine();
  const model = await train({ data: dataset, model: twoInputsTwoOutputs, epochs: 1 }, { engine });
  const computer = await engine.load(model.job);
  computer.setWeights(model.weights.slice());
  // More samples than are computed at a time.
  const count = 300;
  const [x0, x1] = [floats(6 * count), floats(4 * count)];
  const expected = [await computer.predict([x0, x1], count, 0), await computer.predict([x0, x1], count, 1)];
  computer.dispose();
  const flat = await model.predict<Float32Array[]>({ x0, x1 });
  expect(flat.map(({ length }) => length)).toEqual([3 * count, 2 * count]);
  flat.forEach((values, i) => values.forEach((value, at) => expect(value).toBeCloseTo(expected[i]![at]!, 5)));
  const rows = (values: Float32Array, size: number): number[][] =>
    Array.from({ length: 2 }, (_, i) => [...values.subarray(i * size, (i + 1) * size)]);
  const [a, b] = (await model.predict({ x0: rows(x0, 6), x1: rows(x1, 4) })) as number[][][];
  expect([a!, b!].map((output) => output.map(({ length }) => length))).toEqual([[3, 3], [2, 2]]); // prettier-ignore
  a!.flat().forEach((value, i) => expect(value).toBeCloseTo(flat[0]![i]!, 5));
  b!.flat().forEach((value, i) => expect(value).toBeCloseTo(flat[1]![i]!, 5));
});

test('a run goes on where a metric is not defined, and shows it as NaN', async () => {
  const { history } = await run(2, undefined, { a: ['accuracy'], b: ['poisson', 'mae'] });
  expect(history.map((record) => [record.b_poisson, record.val_b_poisson])).toEqual([
    [NaN, NaN],
    [NaN, NaN],
  ]);
  expect(history.at(-1)?.val_b_mae).toBeGreaterThan(0);
});

test('an exact run of such a model has the same bits with one and three workers', async () => {
  const hashes = [];
  for (const workers of [1, 3]) {
    const { weights } = await run(workers, 4);
    hashes.push(createHash('sha256').update(new Uint8Array(weights.buffer)).digest('hex'));
  }
  expect(hashes[1]).toBe(hashes[0]);
});
