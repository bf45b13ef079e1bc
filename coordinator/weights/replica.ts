import type { Codec } from '../../shared/codec/registry.ts';
import { int8 } from '../../shared/codec/packed.ts';
import type { OpenFrame } from '../../shared/protocol/frame.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';

/** Makes room for a message that brings a piece of an update, which starts at `from` in the flat vector. */
export type OpenBucketFrame = (step: Step, from: number, codec: string, payloadBytes: number) => OpenFrame;

/** A message that adds to the weights of the step before, from this position on. */
export interface UpdateBucket {
  readonly from: number;
  readonly frame: Uint8Array;
}

/** An update's piece, of which this side makes of the weights what the others do. */
interface EncodedBucket extends UpdateBucket {
  readonly to: number;
  readonly codec: Codec;
  readonly payload: Uint8Array;
}

/**
 * The weights that workers have put together from updates, the same bits on all of them. They follow the coordinator's
 * own, the exact ones: each update is the encoded difference between the two, so what the codec loses of one is in the
 * next (error feedback without a residual of its own).
 */
export class WeightsReplica {
  readonly values: Float32Array;
  #codec: Codec = int8;
  readonly #openFrame: OpenBucketFrame;
  #step: Step | null = null;
  #isExact = false;
  #buckets: readonly UpdateBucket[] = [];
  /** Of the next update, from the back to the front. */
  #nextBuckets: readonly EncodedBucket[] = [];

  /** @param length of the flat vector */
  constructor(length: number, open: OpenBucketFrame) {
    this.#openFrame = open;
    this.values = new Float32Array(length);
  }

  /** From now on updates are encoded so; what others have lost is in the next one. */
  setCodec(codec: Codec): void {
    this.#codec = codec;
  }

  /** The step that the values are for; null before the first. */
  get step(): Step | null {
    return this.#step;
  }

  /** Whether the values are the coordinator's own. */
  get isExact(): boolean {
    return this.#isExact;
  }

  /** What leads here from the step before, in the order of sending; empty if there is no such way. */
  get buckets(): readonly UpdateBucket[] {
    return this.#buckets;
  }

  /** From now on the values are these, which everybody has to be sent whole. */
  reset(step: Step, weights: Float32Array): void {
    this.values.set(weights);
    this.#step = step;
    this.#isExact = true;
    this.#buckets = [];
    this.#nextBuckets = [];
  }

  /**
   * Encodes a part of the end of the next update while these values are still in use. Whoever has not been sent the pieces that
   * lead to them has to be sent them whole from now on.
   * @param weights the exact ones of the next step, from `from` on
   * @param part ends where the one before it started
   */
  encodeNextBucket(weights: Float32Array, { from, to }: Range): UpdateBucket {
    const last = this.#nextBuckets.at(-1);
    if (last?.from === from) return last;
    const next = ((this.#step ?? 0) + 1) as Step;
    const piece = this.#encode(next, weights, from, to);
    this.#buckets = [];
    this.#nextBuckets = [...this.#nextBuckets, piece];
    return piece;
  }

  /** The step is not over after all: its weights will be others. */
  discardNextBuckets(): void {
    this.#nextBuckets = [];
  }

  /** Goes on to the next step. */
  advance(weights: Float32Array): void {
    const step = ((this.#step ?? 0) + 1) as Step;
    const rest = this.#encode(step, weights, 0, this.#nextBuckets.at(-1)?.from ?? weights.length);
    const pieces = [...this.#nextBuckets, rest];
    for (const { from, to, codec, payload } of pieces) {
      const values = this.values.subarray(from, to);
      codec.decodeOnto(payload, values, values);
    }
    this.#buckets = pieces;
    this.#step = step;
    this.#isExact = false;
    this.#nextBuckets = [];
  }

  #encode(step: Step, weights: Float32Array, from: number, to: number): EncodedBucket {
    const codec = this.#codec;
    const { bytes, payload } = this.#openFrame(step, from, codec.name, codec.bytes(to - from));
    codec.encodeDifference(weights.subarray(from, to), this.values.subarray(from, to), payload);
    return { from, to, codec, payload, frame: bytes };
  }
}
