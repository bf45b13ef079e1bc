import { type StoredDataset, imageDataset } from '../../shared/data/dataset.ts';
import { type Shard, sliceShard } from '../../shared/data/shard.ts';
import { sizeOf } from '../../shared/model/layout.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { CLASSES, SAMPLE_SHAPE } from '../worker-node/engine/native/models.ts';

export interface Noise {
  readonly dataset: StoredDataset;
  /** Shard of the first samples. */
  readonly shardOf: (samples: number) => Shard;
}

/** Random samples in the shape of test/worker-node/engine/native/models.ts, without anything to learn. */
export function noise(seed: number, trainCount: number): Noise {
  const stream = randomStream(seed, Purpose.syntheticDigits);
  const pixels = sizeOf(SAMPLE_SHAPE);
  const bytes = (count: number, below: number): Uint8Array =>
    Uint8Array.from({ length: count }, () => stream.below(below));
  const split = (count: number) => ({
    images: bytes(count * pixels, 256),
    labels: bytes(count, CLASSES),
    count,
  });
  const dataset = imageDataset({
    name: 'noise',
    description: 'noise',
    sampleShape: SAMPLE_SHAPE,
    classes: CLASSES,
    train: split(trainCount),
    test: split(4),
  });
  return {
    dataset,
    shardOf: (samples) => ({
      ...sliceShard({ ...dataset.train, sampleNumbers: new Uint32Array(trainCount) }, 0, samples),
      sampleNumbers: Uint32Array.from({ length: samples }, (_, i) => i + 3),
    }),
  };
}
