import { TASKS, type Task } from '../protocol/messages.ts';

/** Number of samples of each task: training samples, and test samples to evaluate on. */
export type SampleCounts = Readonly<Record<Task, number>>;

const bitmapBytes = (bits: number): number => Math.ceil(bits / 8);
const hasBit = (bitmap: Uint8Array, bit: number): boolean =>
  ((bitmap[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
const setBit = (bitmap: Uint8Array, bit: number): void => {
  bitmap[bit >> 3] = (bitmap[bit >> 3] as number) | (1 << (bit & 7));
};

/** Whether the sample at a position of a shard is not in its payload. @param kept bitmap of a message; empty for none */
export const isKeptAt = (kept: Uint8Array, position: number): boolean =>
  kept.length > 0 && hasBit(kept, position);

/** Bytes of the bitmaps of a `ready` message. */
export const keptBytes = (counts: SampleCounts): number =>
  TASKS.reduce((sum, task) => sum + bitmapBytes(counts[task]), 0);

/**
 * Samples that a worker keeps. Coordinator and worker apply the same rule, so neither has to tell the other: a sample that is
 * sent for the first time is kept while there is room, and none is ever dropped. In a random order, that saves as many bytes as
 * keeping the latest ones would.
 */
export class KeptSamples {
  readonly #bitmaps: Readonly<Record<Task, Uint8Array>>;
  #room: number;

  /**
   * @param room number of samples that the worker keeps beside those that it has
   * @param bitmaps samples that it has: a bit for each training sample, then one for each test sample, each padded to a byte.
   *   @default none
   */
  constructor(counts: SampleCounts, room: number, bitmaps: Uint8Array = new Uint8Array(keptBytes(counts))) {
    let at = 0;
    const next = (task: Task): Uint8Array => {
      const from = at;
      at += bitmapBytes(counts[task]);
      return bitmaps.slice(from, at);
    };
    this.#bitmaps = { train: next('train'), evaluate: next('evaluate') };
    this.#room = room;
  }

  get room(): number {
    return this.#room;
  }

  /** Copy of the bitmaps, as the constructor takes them. */
  get bitmaps(): Uint8Array {
    const { train, evaluate } = this.#bitmaps;
    const all = new Uint8Array(train.length + evaluate.length);
    all.set(train);
    all.set(evaluate, train.length);
    return all;
  }

  has(task: Task, number: number): boolean {
    return hasBit(this.#bitmaps[task], number);
  }

  /** Keeps a sample that is sent. @returns whether it is new and there was room for it */
  add(task: Task, number: number): boolean {
    if (this.#room === 0 || this.has(task, number)) return false;
    setBit(this.#bitmaps[task], number);
    this.#room--;
    return true;
  }

  /**
   * Marks samples as sent.
   * @returns bitmap of the positions in `numbers` whose samples were kept before; empty if none was
   */
  send(task: Task, numbers: Uint32Array): Uint8Array {
    const kept = new Uint8Array(bitmapBytes(numbers.length));
    let count = 0;
    numbers.forEach((number, position) => {
      if (!this.has(task, number)) {
        this.add(task, number);
        return;
      }
      setBit(kept, position);
      count++;
    });
    return count === 0 ? new Uint8Array(0) : kept;
  }
}
