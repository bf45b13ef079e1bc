import { expect, test } from 'vitest';
import { prepareJob } from '../../coordinator/model/model.ts';
import { imageDataset } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const stream = randomStream(5, Purpose.syntheticDigits);
const bytes = (count: number, below: number): Uint8Array =>
  Uint8Array.from({ length: count }, () => stream.below(below));
const split = (count: number) => ({ images: bytes(count * 144, 256), labels: bytes(count, 4), count });
const dataset = imageDataset({
  name: 'noise',
  description: 'noise',
  sampleShape: [12, 12, 1],
  classes: 4,
  train: split(6),
  test: split(2),
});
const shard: Shard = {
  sampleNumbers: Uint32Array.from([0, 1, 2, 3, 4, 5]),
  ...dataset.train,
};

test('preparing a shard computes its masks earlier and changes no bit of its gradient', async () => {
  const { job, initialWeights } = await prepareJob(dataset, { batchSize: 6, epochs: 1, seed: 3 });
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(initialWeights);
  const gradientOf = async (step: number, prepare?: number): Promise<Float32Array> => {
    const gradient = new Float32Array(initialWeights.length);
    if (prepare !== undefined) computer.prepare(prepare as Step, shard);
    await computer.gradient(step as Step, shard, gradient);
    return gradient;
  };
  const plain = await gradientOf(4);
  expect(await gradientOf(5)).not.toEqual(plain);
  expect(await gradientOf(4, 4)).toEqual(plain);
  expect(await gradientOf(4, 5)).toEqual(plain);
  computer.prepare(4 as Step, shard);
  await computer.evaluate({ ...dataset.test, sampleNumbers: Uint32Array.of(0, 1) });
  expect(await gradientOf(4)).toEqual(plain);
  computer.dispose();
});

test('the gradient of the CNN, dropout included, matches finite differences of its loss', async () => {
  const { job, initialWeights: weights } = await prepareJob(dataset, { batchSize: 6, epochs: 1, seed: 3 });
  const computer = await (await wasmEngine()).load(job);
  const gradient = new Float32Array(weights.length);
  const scratch = new Float32Array(weights.length);
  const lossAt = async (direction: Float32Array, distance: number): Promise<number> => {
    computer.setWeights(weights.map((weight, i) => weight + distance * (direction[i] ?? 0)));
    const { lossSum } = await computer.gradient(1 as Step, shard, scratch);
    return lossSum;
  };
  computer.setWeights(weights);
  await computer.gradient(1 as Step, shard, gradient);

  // One direction per tensor, its own gradient, so that an error in a small tensor shows.
  let offset = 0;
  for (const { shape } of job.layout) {
    const size = shape.reduce((a, b) => a * b, 1);
    const part = gradient.subarray(offset, offset + size);
    const length = Math.hypot(...part);
    expect(length).toBeGreaterThan(0);
    const direction = new Float32Array(weights.length);
    direction.set(
      part.map((value) => value / length),
      offset,
    );
    const h = 1e-3;
    const slope = ((await lossAt(direction, h)) - (await lossAt(direction, -h))) / (2 * h);
    expect(Math.abs(slope - length) / length).toBeLessThan(0.02);
    offset += size;
  }
  computer.dispose();
});
