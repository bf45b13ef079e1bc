import { Purpose, randomStream } from '../../shared/random/stream.ts';

/**
 * Order of the samples in an epoch: a Fisher-Yates shuffle of 0 to count - 1, keyed by (seed, epoch).
 */
export function epochOrder(seed: number, epoch: number, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  const stream = randomStream(seed, Purpose.permutation, epoch);
  for (let i = count - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}

export const stepsPerEpoch = (samples: number, batchSize: number): number => Math.ceil(samples / batchSize);

/** The epoch's batches, in order; the last one may be shorter (60,000 = 468 x 128 + 96), as in Keras. */
export function* batches(order: Uint32Array, batchSize: number): Generator<Uint32Array> {
  for (let from = 0; from < order.length; from += batchSize) yield order.subarray(from, from + batchSize);
}
