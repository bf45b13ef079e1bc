import type { GradientComputer } from '../engine/engine.ts';
import { randomShard } from '../data/random-shard.ts';
import type { Shard } from '../data/shard.ts';
import type { Job } from '../model/job.ts';
import { layoutOf } from '../model/layout.ts';
import type { Score } from '../model/scoring.ts';
import type { Step } from '../protocol/messages.ts';
import { Purpose, randomStream } from '../random/stream.ts';

/** Range of the fixed weights, small enough that the results of every model are finite. */
const WEIGHT_RANGE = 1 / 16;
const STEP = 0 as Step;

/**
 * Hash of the results of an engine for fixed weights and samples, in all shapes that occur in an exact run of the job.
 * Engines with the same fingerprint compute the same bits. PROTOCOL.md defines the algorithm.
 * @returns 16 hexadecimal digits
 */
export async function computeFingerprint(computer: GradientComputer, job: Job): Promise<string> {
  const { length } = layoutOf(job.layout);
  const words = randomStream(job.seed, Purpose.engineFingerprint);
  const weights = Float32Array.from({ length }, () => (words.uniform() - 0.5) * 2 * WEIGHT_RANGE);
  const bytes = length * Float32Array.BYTES_PER_ELEMENT;
  const gradient = new Float32Array(computer.allocateBuffer?.(bytes) ?? new ArrayBuffer(bytes));
  const hashed: Uint32Array[] = [];
  const add = ({ lossSum, metrics }: Score): void => {
    hashed.push(new Uint32Array(Float64Array.of(lossSum, ...metrics).buffer));
  };
  computer.setWeights(weights);
  const { training, evaluation } = microShardShapes(job);
  for (const samples of training) {
    add(await computer.gradient(STEP, fixedShard(job, samples), gradient));
    hashed.push(new Uint32Array(gradient.slice().buffer));
  }
  for (const samples of evaluation) add(await computer.evaluate(fixedShard(job, samples)));
  const all = new Uint32Array(hashed.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of hashed) {
    all.set(part, at);
    at += part.length;
  }
  return [0, 1].map((seed) => murmur3(all, seed).toString(16).padStart(8, '0')).join('');
}

/** Sizes of micro-shards that occur: the regular size, and the remainders of a batch, an epoch and the test set. */
function microShardShapes({ microShard = 1, batchSize, data }: Job): {
  training: number[];
  evaluation: number[];
} {
  const sizesOf = (...counts: number[]): number[] => [
    ...new Set(
      counts.flatMap((count) => [Math.min(count, microShard), count % microShard]).filter((size) => size > 0),
    ),
  ];
  const batches = Math.floor(data.trainSamples / batchSize) > 0 ? [batchSize] : [];
  return {
    training: sizesOf(...batches, data.trainSamples % batchSize),
    evaluation: sizesOf(data.testSamples),
  };
}

const fixedShard = (job: Job, samples: number): Shard =>
  randomShard(job, samples, randomStream(job.seed, Purpose.engineFingerprint, 1, samples));

/**
 * MurmurHash3 (x86, 32 bits; Austin Appleby, public domain) of whole little-endian words. Detects different bytes, but not
 * those of an attacker.
 */
export function murmur3(words: Uint32Array, seed: number): number {
  let hash = seed | 0;
  for (const word of words) {
    let mixed = Math.imul(word, 0xcc9e2d51);
    mixed = (mixed << 15) | (mixed >>> 17);
    hash ^= Math.imul(mixed, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= words.length * 4;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
