import { getCodec } from '../codec/registry.ts';
import {
  encodeFactored,
  factoredBytes,
  factoredKernel,
  FACTORS,
  areFactorsSmaller,
  type DenseKernel,
} from '../codec/factors.ts';
import { ErrorFeedbackEncoder } from '../codec/error-feedback.ts';
import { float32 } from '../codec/float32.ts';
import { checkLabels, viewShard, type Shard } from '../data/shard.ts';
import type { GradientBucket, GradientComputer } from '../engine/engine.ts';
import type { Job } from '../model/job.ts';
import { layoutOf } from '../model/layout.ts';
import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import { frameInPlace, RESERVED_HEADER_BYTES, openFrame, type OpenFrame } from '../protocol/frame.ts';
import type { FromWorker, Welcome } from '../protocol/messages.ts';
import { bucketRanges } from '../protocol/buckets.ts';
import type { Range } from '../util/range.ts';
import { frameFromWorker } from '../protocol/parse.ts';
import type { Connection } from '../protocol/transport.ts';
import { WeightsReplica } from './weights-replica.ts';
import type { ReceivedUpdate, ReceivedWeights, WeightsBucket } from './received-weights.ts';
import type { ReceivedShard, PrefetchedSamples } from './session.ts';

type FrameName = 'whole' | 'head' | 'tail' | `tail ${number}`;
/** A frame of the part of the gradient from `from` to `to`. */
type EncodeFrame = (
  name: FrameName,
  message: FromWorker,
  from: number,
  to: number,
) => Uint8Array<ArrayBuffer>;

/** A job that an engine has built, for one connection: weights and shards as they travel go in, answers come out. */
export class LoadedJob {
  readonly #computer: GradientComputer;
  readonly #encoder: ErrorFeedbackEncoder;
  readonly #codec: string;
  readonly #kernel: DenseKernel | null;
  /** Null if no update will come that needs them. */
  readonly #replica: WeightsReplica | null;
  readonly #data: Job['data'];
  /** Of tails, from the back to the front; none if vectors travel whole. */
  readonly #buckets: ReturnType<typeof bucketRanges>;
  readonly #connection: Connection;
  /** Room for one gradient, and for a header in front of it; used again for every shard. */
  #gradient: Float32Array;
  /** Whether the last answer was sent from there. */
  #sentInPlace = false;
  readonly #frames = new Map<FrameName, Uint8Array<ArrayBuffer>>();
  /** Whether the frames of the answers before had all left when this one was begun. */
  #framesSent = false;
  /** Of weights, by turns: an engine may still look at the last one. */
  readonly #weightsBuffers: Float32Array[] = [];
  #lastView: { readonly payload: Uint8Array; readonly shard: Shard } | null = null;

  constructor(
    trainer: GradientComputer,
    { codec, updateCodec, updates, job, tailCuts }: Welcome,
    connection: Connection,
  ) {
    this.#computer = trainer;
    this.#data = job.data;
    this.#connection = connection;
    const { length } = layoutOf(job.layout);
    this.#gradient = allocateBuffer(trainer, length);
    this.#codec = codec;
    this.#kernel = trainer.supportsFactors === true ? factoredKernel(layoutOf(job.layout)) : null;
    this.#encoder = new ErrorFeedbackEncoder(getCodec(codec), length);
    const mayUpdate = updates !== false || updateCodec !== undefined;
    this.#replica = mayUpdate
      ? new WeightsReplica(updateCodec === undefined ? null : getCodec(updateCodec), length)
      : null;
    this.#buckets = bucketRanges(tailCuts ?? [], length);
  }

  /** @throws ProtocolError (wrongLength, malformed) */
  setWeights(received: ReceivedWeights | ReceivedUpdate): void {
    if ('pieces' in received) {
      if (this.#replica === null)
        throw new ProtocolError(CloseCode.malformed, 'An update, though there were to be none.');
      this.#computer.setWeights(this.#replica.apply(received));
      return;
    }
    const { payload, buckets } = received;
    const from = buckets === null ? this.#gradient.length : this.#setBuckets(buckets);
    this.#setPart(float32.decode(payload, from), 0, true);
  }

  /** @returns where it starts */
  #setBuckets(pieces: readonly WeightsBucket[]): number {
    const from = pieces.at(-1)?.from ?? this.#gradient.length;
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) {
      this.#setPart(float32.decode(first.payload, first.to - first.from), from, true);
      return from;
    }
    // Engines take whole tensors.
    const room =
      (this.#weightsBuffers.length > 1 ? this.#weightsBuffers.shift() : null) ??
      new Float32Array(this.#gradient.length - from);
    this.#weightsBuffers.push(room);
    for (const piece of pieces) {
      room.set(float32.decode(piece.payload, piece.to - piece.from), piece.from - from);
    }
    this.#setPart(room, from, false);
    return from;
  }

  /** @param given that nothing here needs their memory any more, but for updates */
  #setPart(weights: Float32Array, from: number, given: boolean): void {
    this.#computer.setWeights(weights, from, given && this.#replica === null);
    this.#replica?.set(weights, from);
  }

  /** Gets samples ready whose shard has not come yet. */
  prepare({ step, samples, payload }: PrefetchedSamples): void {
    this.#computer.prepare(step, this.#view(payload, samples));
  }

  /**
   * Computes a shard; the answer is a frame, valid until the next one. The tail of a gradient is sent as soon as the
   * engine has it.
   */
  async answer({ message, payload }: ReceivedShard, elapsedMs: () => number): Promise<Uint8Array> {
    const { task, step, shard, samples, encoding } = message;
    this.#framesSent = this.#connection.bufferedBytes === 0;
    const data = this.#view(payload, samples);
    const sums = { step, shard, samples };
    if (task === 'evaluate') {
      const result = await this.#computer.evaluate(data);
      return frameFromWorker({ type: 'evaluation', ...sums, ...result, computeMs: elapsedMs() });
    }
    const kernel =
      encoding === FACTORS && this.#kernel !== null && areFactorsSmaller(this.#kernel, samples)
        ? this.#kernel
        : null;
    // Whoever cannot give factors, or has too many samples, answers as by default.
    const codec = encoding === undefined || encoding === FACTORS ? this.#codec : encoding;
    this.#encoder.setCodec(getCodec(codec));
    const encoded =
      kernel !== null ? { encoding: FACTORS } : codec === this.#codec ? {} : { encoding: codec };
    const encode: EncodeFrame =
      kernel === null
        ? (name, message, from, to) => this.#encode(name, message, gradient.subarray(from, to), from)
        : (name, message, from, to) => this.#encodeFactored(name, message, kernel, samples, { from, to });
    // What is still on its way must not be written over.
    if (this.#sentInPlace && !this.#framesSent)
      this.#gradient = allocateBuffer(this.#computer, this.#gradient.length);
    this.#sentInPlace = false;
    const gradient = this.#gradient;
    const tailFrom = this.#buckets.at(-1)?.from;
    let head = gradient.length;
    const sendTail = (from: number): void => {
      const message = { type: 'gradientTail', step, shard, ...encoded } as const;
      head = from;
      // Factors are of the whole kernel. Whatever else travels in pieces: what has arrived of them can go back already.
      if (kernel !== null) {
        this.#connection.send(encode('tail', message, from, gradient.length));
        return;
      }
      for (const { piece, from, to } of this.#buckets) {
        this.#connection.send(encode(`tail ${piece}`, { ...message, piece }, from, to));
      }
    };
    const tail: GradientBucket | undefined =
      tailFrom === undefined ? undefined : { offset: tailFrom, onReady: () => sendTail(tailFrom) };
    const result = await this.#computer.gradient(step, data, gradient, tail, kernel !== null);
    const computeMs = elapsedMs();
    if (tailFrom !== undefined && head === gradient.length && kernel === null) sendTail(tailFrom);
    const answer = { type: 'gradient', ...sums, ...result, ...encoded, computeMs } as const;
    if (head < gradient.length) return encode('head', { ...answer, head: true }, 0, head);
    const inPlace = kernel === null && this.#encoder.isIdentity ? frameInPlace(answer, gradient) : null;
    this.#sentInPlace = inPlace !== null;
    return inPlace ?? encode('whole', answer, 0, head);
  }

  #encodeFactored(
    name: FrameName,
    message: FromWorker,
    kernel: DenseKernel,
    samples: number,
    part: Range,
  ): Uint8Array<ArrayBuffer> {
    const frame = this.#openFrame(name, message, factoredBytes(kernel, samples, part));
    encodeFactored(this.#gradient, frame.payload, kernel, samples, part);
    return frame.bytes;
  }

  #encode(name: FrameName, message: FromWorker, values: Float32Array, from = 0): Uint8Array<ArrayBuffer> {
    const frame = this.#openFrame(name, message, this.#encoder.bytes(values.length));
    this.#encoder.encode(values, frame.payload, from);
    return frame.bytes;
  }

  /** Connections send without a copy, so a frame may be written over once it has left; none is made twice in an answer. */
  #openFrame(name: FrameName, message: FromWorker, payloadBytes: number): OpenFrame {
    const reuse = this.#framesSent ? (this.#frames.get(name) ?? null) : null;
    const frame = openFrame(message, payloadBytes, reuse);
    this.#frames.set(name, frame.bytes);
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

/** @returns room for a vector with that for a header in front, where the trainer's gradients come to lie by themselves */
function allocateBuffer(trainer: GradientComputer, length: number): Float32Array {
  const bytes = RESERVED_HEADER_BYTES + length * Float32Array.BYTES_PER_ELEMENT;
  return new Float32Array(
    trainer.allocateBuffer?.(bytes) ?? new ArrayBuffer(bytes),
    RESERVED_HEADER_BYTES,
    length,
  );
}
