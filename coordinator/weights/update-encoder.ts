import type { Codec } from '../../shared/codec/codec.ts';
import { int8 } from '../../shared/codec/packed.ts';
import { WeightsReplica } from '../../shared/codec/weights-replica.ts';
import type { OpenFrame } from '../../shared/protocol/frame.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';

/** Opens the frame of a bucket of an update. */
export type OpenUpdateFrame = (step: Step, offset: number, codec: string, payloadBytes: number) => OpenFrame;

interface EncodedBucket {
  readonly offset: number;
  readonly codec: Codec;
  readonly payload: Uint8Array;
  readonly frame: Uint8Array;
}

/**
 * Encodes updates from one step's weights to the next. An update is the difference between the coordinator's weights and a
 * replica of the workers' weights, so the error of one update is corrected by the next (error feedback without a separate
 * residual).
 */
export class UpdateEncoder {
  readonly #openFrame: OpenUpdateFrame;
  readonly #replica: WeightsReplica;
  #codec: Codec = int8;
  #step: Step | null = null;
  #isExact = false;
  #buckets: readonly EncodedBucket[] = [];
  /** Buckets of the next update, back to front. */
  #nextBuckets: readonly EncodedBucket[] = [];

  /** @param length values of the flat vector */
  constructor(length: number, openFrame: OpenUpdateFrame) {
    this.#openFrame = openFrame;
    this.#replica = new WeightsReplica(length);
  }

  /** Sets the codec of the next updates. Errors of the previous codec are corrected by the next update. */
  setCodec(codec: Codec): void {
    this.#codec = codec;
  }

  /** Weights of the workers, bit for bit. Read only. */
  get weights(): Float32Array {
    return this.#replica.weights;
  }

  /** Step of the weights; null before the first reset(). */
  get step(): Step | null {
    return this.#step;
  }

  /** Whether the weights equal the coordinator's. */
  get isExact(): boolean {
    return this.#isExact;
  }

  /** Buckets of the update from the previous step to these weights, in the order of sending; empty after a reset. */
  get buckets(): readonly { readonly offset: number; readonly frame: Uint8Array }[] {
    return this.#buckets;
  }

  /** Starts from these weights. All workers must be sent whole weights. */
  reset(step: Step, weights: Float32Array): void {
    this.#replica.copy(weights);
    this.#step = step;
    this.#isExact = true;
    this.#buckets = [];
    this.#nextBuckets = [];
  }

  /**
   * Encodes a bucket of the next update while these weights are still in use. It drops the buckets of this step: workers that
   * lack them must be sent whole weights.
   * @param weights the coordinator's weights of the next step, final from `range.from` on
   * @param range adjoins the previously encoded bucket, which is behind it
   */
  encodeNext(weights: Float32Array, range: Range): { readonly frame: Uint8Array } {
    const last = this.#nextBuckets.at(-1);
    if (last?.offset === range.from) return last;
    const bucket = this.#encode(((this.#step ?? 0) + 1) as Step, weights, range);
    this.#buckets = [];
    this.#nextBuckets = [...this.#nextBuckets, bucket];
    return bucket;
  }

  /** Drops the buckets of the next update. */
  discardNext(): void {
    this.#nextBuckets = [];
  }

  /** Encodes the rest of the next update and advances to the next step. @param weights the coordinator's next weights */
  advance(weights: Float32Array): void {
    const step = ((this.#step ?? 0) + 1) as Step;
    const rest = this.#encode(step, weights, {
      from: 0,
      to: this.#nextBuckets.at(-1)?.offset ?? weights.length,
    });
    this.#buckets = [...this.#nextBuckets, rest];
    this.#replica.applyUpdate(this.#buckets);
    this.#step = step;
    this.#isExact = false;
    this.#nextBuckets = [];
  }

  #encode(step: Step, weights: Float32Array, { from, to }: Range): EncodedBucket {
    const codec = this.#codec;
    const { bytes, payload } = this.#openFrame(step, from, codec.name, codec.bytes(to - from));
    codec.encodeDifference(weights.subarray(from, to), this.weights.subarray(from, to), payload);
    return { offset: from, codec, payload, frame: bytes };
  }
}
