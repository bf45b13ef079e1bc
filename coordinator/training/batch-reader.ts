import { isLazy, wholeSplit, type Split } from '../../shared/data/dataset.ts';
import { pickSamples, type Shard } from '../../shared/data/shard.ts';
import type { Clock } from '../../shared/util/clock.ts';

/** Batches that are read ahead: as many as these bytes hold, but at least one and at most MAX_AHEAD. */
const AHEAD_BYTES = 2 ** 26;
const MAX_AHEAD = 8;
/** Size of a part of a test set that is read at once. */
const PART_BYTES = 2 ** 24;
/** Samples of which the first part of a test set is made, before their size is known. */
const FIRST_PART = 64;

/** Reads the batches of an epoch while workers compute the ones before. */
export class BatchReader {
  readonly #read: (numbers: Uint32Array) => Shard | Promise<Shard>;
  readonly #maxAhead: number;
  readonly #batches: readonly Uint32Array[];
  /** Batches that are read or being read. */
  readonly #known = new Map<number, Shard | Promise<Shard>>();
  readonly #clock: Clock;
  #ahead = 1;
  #waitedMs = 0;

  /** @param batches sample numbers of each batch */
  constructor(split: Split, batches: readonly Uint32Array[], clock: Clock) {
    this.#clock = clock;
    const isStored = !isLazy(split);
    this.#read = isStored ? (numbers) => pickSamples(split, numbers) : (numbers) => split.read(numbers);
    this.#maxAhead = isStored ? 1 : MAX_AHEAD;
    this.#batches = batches;
  }

  /** Number of batches. */
  get count(): number {
    return this.#batches.length;
  }

  /**
   * Batch `index`. Starts to read those that follow it, and forgets those before it.
   * @throws DataError if a sample cannot be read
   */
  async batch(index: number): Promise<Shard> {
    const startedMs = this.#clock.now();
    const batch = await this.#start(index);
    this.#waitedMs = this.#clock.now() - startedMs;
    this.#ahead = Math.min(this.#maxAhead, Math.max(1, Math.floor(AHEAD_BYTES / shardSize(batch))));
    for (const known of this.#known.keys()) {
      if (known < index || known > index + this.#ahead) this.#known.delete(known);
    }
    const last = Math.min(index + this.#ahead, this.count - 1);
    for (let next = index + 1; next <= last; next++) void this.#start(next);
    return batch;
  }

  /** Time that the last batch took beyond the computation of the one before it. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** Batch `index` if it is in memory already. */
  ready(index: number): Shard | undefined {
    const batch = this.#known.get(index);
    return batch instanceof Promise ? undefined : batch;
  }

  #start(index: number): Shard | Promise<Shard> {
    const known = this.#known.get(index);
    if (known !== undefined) return known;
    const reading = this.#read(this.#batches[index] as Uint32Array);
    this.#known.set(index, reading);
    if (reading instanceof Promise) {
      reading.then(
        (batch) => {
          if (this.#known.get(index) === reading) this.#known.set(index, batch);
        },
        // The batch is read again when its turn comes, and then the error counts.
        () => this.#known.delete(index),
      );
    }
    return reading;
  }
}

/**
 * Parts of a split for an evaluation, in order: the whole split if it is in memory, else parts of some megabytes, each of which
 * is read while the part before it is computed. Their sizes depend on the samples only, so an exact run has the same parts.
 * @throws DataError if a sample cannot be read
 */
export async function* evaluationParts(split: Split): AsyncGenerator<Shard, void, undefined> {
  if (!isLazy(split)) {
    yield wholeSplit(split);
    return;
  }
  const { count } = split;
  const numbers = (from: number, to: number): Uint32Array =>
    Uint32Array.from({ length: Math.min(to, count) - from }, (_, i) => from + i);
  let end = Math.min(FIRST_PART, count);
  let part = await split.read(numbers(0, end));
  const samples = Math.max(1, Math.floor((PART_BYTES / shardSize(part)) * end));
  for (;;) {
    const from = end;
    end = Math.min(from + samples, count);
    const next = from < end ? split.read(numbers(from, end)) : null;
    next?.catch(() => undefined);
    yield part;
    if (next === null) return;
    part = await next;
  }
}

/** Bytes of all tensors. */
const shardSize = ({ inputs, targets }: Shard): number =>
  [...inputs, ...targets].reduce((sum, { byteLength }) => sum + byteLength, 0);
