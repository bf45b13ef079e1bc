import { codecNamed } from '../codec/codec.ts';
import {
  encodeFactored,
  factoredBytes,
  factoredKernel,
  FACTORS,
  worthFactoring,
  type DenseKernel,
} from '../codec/factors.ts';
import { FeedbackEncoder } from '../codec/feedback-encoder.ts';
import { float32 } from '../codec/float32.ts';
import { checkLabels, viewShard, type Shard } from '../data/shard.ts';
import type { Tail, Trainer } from '../engine/engine.ts';
import type { Job } from '../model/job.ts';
import { layoutOf } from '../model/layout.ts';
import { openFrame, type OpenFrame } from '../protocol/frame.ts';
import type { FromWorker, Welcome } from '../protocol/messages.ts';
import { frameFromWorker } from '../protocol/parse.ts';
import type { Connection } from '../transport.ts';
import { HeldWeights } from './held-weights.ts';
import type { ReceivedUpdate, ReceivedWeights } from './received-weights.ts';
import type { PendingShard, Prefetched } from './session.ts';

type Name = 'whole' | 'head' | 'tail';
/** A frame of the part of the gradient from `from` to `to`. */
type Encode = (name: Name, message: FromWorker, from: number, to: number) => Uint8Array<ArrayBuffer>;

/** A job that an engine has built, for one connection: weights and shards as they travel go in, answers come out. */
export class LoadedJob {
  readonly #trainer: Trainer;
  readonly #encoder: FeedbackEncoder;
  readonly #codec: string;
  readonly #kernel: DenseKernel | null;
  readonly #held: HeldWeights;
  readonly #data: Job['data'];
  readonly #tailFrom: number | null;
  readonly #connection: Connection;
  /** Room for one gradient, used again for every shard. */
  readonly #gradient: Float32Array;
  readonly #frames: Record<Name, Uint8Array<ArrayBuffer> | null> = { whole: null, head: null, tail: null };
  #lastView: { readonly payload: Uint8Array; readonly shard: Shard } | null = null;

  constructor(trainer: Trainer, { codec, updateCodec, job, tailFrom }: Welcome, connection: Connection) {
    this.#trainer = trainer;
    this.#data = job.data;
    this.#connection = connection;
    this.#gradient = trainer.room ?? new Float32Array(layoutOf(job.layout).length);
    const { length } = this.#gradient;
    this.#codec = codec;
    this.#kernel = trainer.givesFactors === true ? factoredKernel(layoutOf(job.layout)) : null;
    this.#encoder = new FeedbackEncoder(codecNamed(codec), length);
    this.#held = new HeldWeights(updateCodec === undefined ? null : codecNamed(updateCodec), length);
    this.#tailFrom = tailFrom ?? null;
  }

  /** @throws ProtocolError (wrongLength, malformed) */
  setWeights(received: ReceivedWeights | ReceivedUpdate): void {
    if ('pieces' in received) {
      this.#trainer.setWeights(this.#held.apply(received));
      return;
    }
    const { payload, tail } = received;
    const { length } = this.#gradient;
    const from = tail === null ? length : (this.#tailFrom ?? length);
    if (tail !== null) this.#setPart(float32.decode(tail, length - from), from);
    this.#setPart(float32.decode(payload, from), 0);
  }

  #setPart(weights: Float32Array, from: number): void {
    this.#trainer.setWeights(weights, from);
    this.#held.set(weights, from);
  }

  /** Gets samples ready whose shard has not come yet. */
  prepare({ step, samples, payload }: Prefetched): void {
    this.#trainer.prepare(step, this.#view(payload, samples));
  }

  /**
   * Computes a shard; the answer is a frame, valid until the next one. The tail of a gradient is sent as soon as the
   * engine has it.
   */
  async answer({ message, payload }: PendingShard, elapsedMs: () => number): Promise<Uint8Array> {
    const { task, step, shard, samples, encoding } = message;
    const data = this.#view(payload, samples);
    const sums = { step, shard, samples };
    if (task === 'evaluate') {
      const result = await this.#trainer.evaluate(data);
      return frameFromWorker({ type: 'evaluation', ...sums, ...result, computeMs: elapsedMs() });
    }
    const kernel =
      encoding === FACTORS && this.#kernel !== null && worthFactoring(this.#kernel, samples)
        ? this.#kernel
        : null;
    // Whoever cannot give factors, or has too many samples, answers as by default.
    const codec = encoding === undefined || encoding === FACTORS ? this.#codec : encoding;
    this.#encoder.use(codecNamed(codec));
    const encoded =
      kernel !== null ? { encoding: FACTORS } : codec === this.#codec ? {} : { encoding: codec };
    const encode: Encode =
      kernel === null
        ? (name, message, from, to) => this.#encode(name, message, gradient.subarray(from, to), from)
        : (name, message, from, to) => this.#encodeFactored(name, message, kernel, samples, { from, to });
    const gradient = this.#gradient;
    let head = gradient.length;
    const tail: Tail | undefined =
      this.#tailFrom === null
        ? undefined
        : {
            from: this.#tailFrom,
            ready: () => {
              head = tail?.from ?? head;
              this.#connection.send(
                encode('tail', { type: 'gradientTail', step, shard, ...encoded }, head, gradient.length),
              );
            },
          };
    const result = await this.#trainer.gradient(step, data, gradient, tail, kernel !== null);
    const answer = { type: 'gradient', ...sums, ...result, ...encoded, computeMs: elapsedMs() } as const;
    return head === gradient.length
      ? encode('whole', answer, 0, head)
      : encode('head', { ...answer, head: true }, 0, head);
  }

  #encodeFactored(
    name: Name,
    message: FromWorker,
    kernel: DenseKernel,
    samples: number,
    part: { readonly from: number; readonly to: number },
  ): Uint8Array<ArrayBuffer> {
    const frame = this.#open(name, message, factoredBytes(kernel, samples, part));
    encodeFactored(this.#gradient, frame.payload, kernel, samples, part);
    return frame.bytes;
  }

  #encode(name: Name, message: FromWorker, values: Float32Array, from = 0): Uint8Array<ArrayBuffer> {
    const frame = this.#open(name, message, this.#encoder.bytes(values.length));
    this.#encoder.encode(values, frame.payload, from);
    return frame.bytes;
  }

  /** Connections send without a copy, so a frame may be written over once it has left. */
  #open(name: Name, message: FromWorker, payloadBytes: number): OpenFrame {
    const reuse = this.#connection.bufferedBytes === 0 ? this.#frames[name] : null;
    const frame = openFrame(message, payloadBytes, reuse);
    this.#frames[name] = frame.bytes;
    return frame;
  }

  /** The same view for the same payload, by which the trainer knows what it has prepared. */
  #view(payload: Uint8Array, samples: number): Shard {
    if (this.#lastView?.payload !== payload) {
      const shard = viewShard(payload, samples, this.#data.sampleShape);
      checkLabels(shard, this.#data.classes);
      this.#lastView = { payload, shard };
    }
    return this.#lastView.shard;
  }
}
