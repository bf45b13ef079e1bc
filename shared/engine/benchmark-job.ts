import type { Shard } from '../data/shard.ts';
import { layoutOf } from '../model/layout.ts';
import { defaultTopology } from '../model/default-topology.ts';
import type { Job } from '../model/job.ts';
import { Purpose, randomStream } from '../random/stream.ts';
import { imageTensors } from '../model/tensors.ts';
import { classOutput } from '../model/stored-job.ts';

const SHAPES = [[3, 3, 1, 32], [32], [3, 3, 32, 32], [32], [4608, 128], [128], [128, 10], [10]];
const CLASSES = 10;
const PIXELS = 28 * 28;

/** Job of the default CNN with a batch of noise, to verify and time an engine. */
export interface BenchmarkCase {
  readonly job: Job;
  readonly weights: Float32Array;
  readonly shard: Shard;
}

export function benchmarkJob(batchSize: number): BenchmarkCase {
  const layout = SHAPES.map((shape) => ({ shape, trainable: true }));
  const { slices, length } = layoutOf(layout);
  const stream = randomStream(1, Purpose.syntheticDigits);
  const weights = new Float32Array(length);
  for (const { shape, offset, size } of slices) {
    if (shape.length === 1) continue;
    const inputs = shape.slice(0, -1).reduce((product, n) => product * n, 1);
    for (let i = 0; i < size; i++)
      weights[offset + i] = (stream.below(2001) / 1000 - 1) * Math.sqrt(3 / inputs);
  }
  return {
    job: {
      topology: defaultTopology([28, 28, 1], CLASSES),
      layout,
      optimizer: { name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 },
      batchSize,
      epochs: 1,
      seed: 1,
      ...imageTensors([28, 28, 1], CLASSES),
      outputs: [classOutput('dense_2', CLASSES)],
      data: { name: 'noise', trainSamples: batchSize, testSamples: 1 },
    },
    weights,
    shard: {
      sampleNumbers: Uint32Array.from({ length: batchSize }, (_, i) => i),
      inputs: [Uint8Array.from({ length: batchSize * PIXELS }, () => stream.below(256))],
      targets: [Uint8Array.from({ length: batchSize }, (_, i) => i % CLASSES)],
    },
  };
}
