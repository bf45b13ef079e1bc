import { codecNamed } from '../codec/codec.ts';
import { FeedbackEncoder } from '../codec/feedback-encoder.ts';
import { float32 } from '../codec/float32.ts';
import { viewShard, type Shard } from '../data/shard.ts';
import type { Tail, Trainer } from '../engine/engine.ts';
import { layoutOf } from '../model/layout.ts';
import { openFrame } from '../protocol/frame.ts';
import type { FromWorker, Welcome } from '../protocol/messages.ts';
import { frameFromWorker } from '../protocol/parse.ts';
import type { Connection } from '../transport.ts';
import { HeldWeights } from './held-weights.ts';
import type { ReceivedUpdate, ReceivedWeights } from './received-weights.ts';
import type { PendingShard, Prefetched } from './session.ts';

/** A job that an engine has built, for one connection: weights and shards as they travel go in, answers come out. */
export class LoadedJob {
  readonly #trainer: Trainer;
  readonly #encoder: FeedbackEncoder;
  readonly #codec: string;
  readonly #held: HeldWeights;
  readonly #sampleShape: readonly number[];
  readonly #tailFrom: number | null;
  readonly #connection: Connection;
  /** Room for one gradient, used again for every shard. */
  readonly #gradient: Float32Array;
  readonly #frames = { whole: null, head: null, tail: null } as Record<
    'whole' | 'head' | 'tail',
    Uint8Array<ArrayBuffer> | null
  >;
  #lastView: { readonly payload: Uint8Array; readonly shard: Shard } | null = null;

  constructor(trainer: Trainer, { codec, updateCodec, job, tailFrom }: Welcome, connection: Connection) {
    this.#trainer = trainer;
    this.#sampleShape = job.data.sampleShape;
    this.#connection = connection;
    this.#gradient = trainer.room ?? new Float32Array(layoutOf(job.layout).length);
    const { length } = this.#gradient;
    this.#codec = codec;
    this.#encoder = new FeedbackEncoder(codecNamed(codec), length);
    this.#held = new HeldWeights(updateCodec === undefined ? null : codecNamed(updateCodec), length);
    this.#tailFrom = tailFrom !== undefined && tailFrom < length ? tailFrom : null;
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
    this.#encoder.use(codecNamed(encoding ?? this.#codec));
    const encoded = encoding === undefined ? {} : { encoding };
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
                this.#encode(
                  'tail',
                  { type: 'gradientTail', step, shard, ...encoded },
                  gradient.subarray(head),
                  head,
                ),
              );
            },
          };
    const result = await this.#trainer.gradient(step, data, gradient, tail);
    const answer = { type: 'gradient', ...sums, ...result, ...encoded, computeMs: elapsedMs() } as const;
    return head === gradient.length
      ? this.#encode('whole', answer, gradient)
      : this.#encode('head', { ...answer, head: true }, gradient.subarray(0, head));
  }

  /** Connections send without a copy, so a frame may be written over once it has left. */
  #encode(
    name: 'whole' | 'head' | 'tail',
    message: FromWorker,
    values: Float32Array,
    from = 0,
  ): Uint8Array<ArrayBuffer> {
    const reuse = this.#connection.bufferedBytes === 0 ? this.#frames[name] : null;
    const frame = openFrame(message, this.#encoder.bytes(values.length), reuse);
    this.#encoder.encode(values, frame.payload, from);
    this.#frames[name] = frame.bytes;
    return frame.bytes;
  }

  /** The same view for the same payload, by which the trainer knows what it has prepared. */
  #view(payload: Uint8Array, samples: number): Shard {
    if (this.#lastView?.payload !== payload) {
      this.#lastView = { payload, shard: viewShard(payload, samples, this.#sampleShape) };
    }
    return this.#lastView.shard;
  }
}
