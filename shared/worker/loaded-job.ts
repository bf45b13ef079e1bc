import type { Codec } from '../codec/codec.ts';
import { ErrorFeedback } from '../codec/error-feedback.ts';
import {
  areFactorsSmaller,
  encodeFactored,
  factoredBytes,
  factoredKernel,
  FACTORS,
  type DenseKernel,
} from '../codec/factors.ts';
import { float32 } from '../codec/float32.ts';
import { getCodec } from '../codec/registry.ts';
import { WeightsReplica } from '../codec/weights-replica.ts';
import { checkClasses, viewShard, type Shard } from '../data/shard.ts';
import type { SampleFormat } from '../model/tensors.ts';
import type { GradientComputer } from '../engine/engine.ts';
import { layoutOf } from '../model/layout.ts';
import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import {
  frameFromWorker,
  frameInPlace,
  openFrame,
  RESERVED_HEADER_BYTES,
  type OpenFrame,
} from '../protocol/frame.ts';
import type { FromWorker, GradientMessage, Task, Welcome } from '../protocol/messages.ts';
import type { Connection } from '../protocol/transport.ts';
import type { Range } from '../util/range.ts';
import type { ReceivedSamples, SampleStore } from './sample-store.ts';
import type { PrefetchedSamples, ReceivedShard, ReceivedVector } from './session.ts';

/** How the gradient of one shard is encoded. */
interface Encoding {
  /** Fields of its messages. */
  readonly fields: Pick<GradientMessage, 'encoding'>;
  /** Codec of all values, or of none if the gradient is sent as factors. */
  readonly codec: Codec;
  /** Kernel whose gradient is sent as factors; null if there is none. */
  readonly kernel: DenseKernel | null;
  readonly samples: number;
}

/** A job that an engine has built, for one connection. Decodes weights and shards, and encodes answers. */
export class LoadedJob {
  readonly #computer: GradientComputer;
  /** Codec of gradients whose shard does not name another codec. */
  readonly #codec: Codec;
  /** Codec of updates that do not name another codec; null if they must. */
  readonly #updateCodec: Codec | null;
  /** Null until a gradient is encoded with a lossy codec; its error is then part of all later gradients. */
  #errorFeedback: ErrorFeedback | null = null;
  readonly #kernel: DenseKernel | null;
  /** Null if the run has no updates. */
  readonly #replica: WeightsReplica | null;
  readonly #format: SampleFormat;
  /** Buckets of gradients, back to front. */
  readonly #buckets: readonly Range[];
  readonly #connection: Connection;
  /** Buffer for one gradient, with space for a header before it; reused for every shard. */
  #gradient: Float32Array;
  /** Whether the last answer was sent from that buffer without a copy. */
  #sentInPlace = false;
  /** Frames for reuse, by the offset of their bucket. */
  readonly #frames = new Map<number, Uint8Array<ArrayBuffer>>();
  /** Whether all frames of earlier answers had been sent when the current answer began. */
  #framesSent = false;
  /** Two alternating buffers for weights in several buckets, since the engine may still read the last one. */
  readonly #weightsBuffers: Float32Array[] = [];
  /** Weights that have not arrived completely; null unless the computer uses them. */
  #incomplete: Float32Array | null = null;
  /** Null if samples are not kept. */
  readonly #store: SampleStore | null;
  #lastView: { readonly payload: Uint8Array; readonly shard: Shard } | null = null;

  constructor(
    computer: GradientComputer,
    { codec, updateCodec, updates, job, bucketOffsets }: Welcome,
    connection: Connection,
    store: SampleStore | null = null,
  ) {
    this.#store = store;
    const layout = layoutOf(job.layout);
    const { length } = layout;
    this.#computer = computer;
    this.#format = job;
    this.#connection = connection;
    this.#gradient = allocateBuffer(computer, length);
    this.#codec = getCodec(codec);
    this.#updateCodec = updateCodec === undefined ? null : getCodec(updateCodec);
    this.#kernel = computer.supportsFactors === true ? factoredKernel(layout) : null;
    const mayUpdate = updates !== false || updateCodec !== undefined;
    this.#replica = mayUpdate ? new WeightsReplica(length) : null;
    this.#buckets = bucketOffsets.map((from, i) => ({ from, to: bucketOffsets[i + 1] ?? length })).reverse();
  }

  /** Sets the weights, or adds an update to them. @throws ProtocolError (wrongLength, malformed, unsupported) */
  setWeights(vector: ReceivedVector): void {
    if (vector.kind === 'update') {
      this.#computer.setWeights(this.#applyUpdate(vector));
      return;
    }
    const isWhole = vector.buckets.length === 1;
    const weights = isWhole
      ? float32.decode(vector.buckets[0]?.payload ?? new Uint8Array(0), this.#gradient.length)
      : this.#assemble(vector);
    this.#replica?.set(weights);
    // The engine may own the memory of a frame, unless an update will be added to it.
    this.#computer.setWeights(weights, isWhole && this.#replica === null);
  }

  #applyUpdate({ buckets }: ReceivedVector): Float32Array {
    if (this.#replica === null) {
      throw new ProtocolError(
        CloseCode.malformed,
        'An update was received, but the welcome excludes updates.',
      );
    }
    return this.#replica.applyUpdate(
      buckets.map(({ offset, payload, encoding }) => ({
        offset,
        payload,
        codec: this.#codecOfUpdate(encoding),
      })),
    );
  }

  #codecOfUpdate(encoding: string | undefined): Codec {
    const codec = encoding === undefined ? this.#updateCodec : getCodec(encoding);
    if (codec === null) {
      throw new ProtocolError(CloseCode.malformed, 'Neither the update nor the welcome names a codec.');
    }
    return codec;
  }

  /**
   * Hands the newest bucket of incomplete weights, or of an update to those in the engine, to a computer that uses it at once.
   * @throws ProtocolError (wrongLength, malformed, unsupported)
   */
  receive({ kind, step, buckets }: ReceivedVector): void {
    const bucket = buckets.at(-1);
    if (this.#computer.receiveWeights === undefined || bucket === undefined) return;
    const range = { from: bucket.offset, to: buckets.at(-2)?.offset ?? this.#gradient.length };
    const weights = (this.#incomplete ??= new Float32Array(this.#gradient.length));
    const values = weights.subarray(range.from, range.to);
    if (kind === 'weights') values.set(float32.decode(bucket.payload, values.length));
    else {
      const base = this.#replica?.weights.subarray(range.from, range.to) ?? values;
      this.#codecOfUpdate(bucket.encoding).decodeOnto(bucket.payload, base, values);
    }
    this.#computer.receiveWeights(step, weights, range);
  }

  #assemble({ buckets }: ReceivedVector): Float32Array {
    const { length } = this.#gradient;
    const reused = this.#weightsBuffers.length > 1 ? this.#weightsBuffers.shift() : undefined;
    const weights = reused ?? new Float32Array(length);
    this.#weightsBuffers.push(weights);
    let end = length;
    for (const { offset, payload } of buckets) {
      weights.set(float32.decode(payload, end - offset), offset);
      end = offset;
    }
    return weights;
  }

  /** Keeps samples that have arrived, for later steps. @throws ProtocolError (malformed) */
  keep(task: Task, samples: ReceivedSamples): void {
    this.#store?.add(task, samples);
  }

  /** Prepares samples whose shard has not arrived yet. */
  prepare(samples: PrefetchedSamples): void {
    const shard = this.#view('train', samples);
    if (shard !== null) this.#computer.prepare(samples.message.step, shard);
  }

  /**
   * Computes a shard. Sends all buckets of its gradient but the last as soon as the engine has computed them.
   * @param elapsedMs time since the start of the computation
   * @returns frame of the last bucket, of the evaluation, or of the message that kept samples are missing; valid until the next
   *   shard
   */
  async answer({ message, samples: received }: ReceivedShard, elapsedMs: () => number): Promise<Uint8Array> {
    const { task, step, shard, samples } = message;
    this.#framesSent = this.#connection.bufferedBytes === 0;
    const data = this.#view(task, received);
    if (data === null) return frameFromWorker({ type: 'missing', step, shard });
    if (task === 'evaluate') {
      const { lossSum, metrics } = await this.#computer.evaluate(data);
      const result = { samples, lossSum, metrics: [...metrics], computeMs: elapsedMs() };
      return frameFromWorker({ type: 'evaluation', step, shard, result });
    }
    const encoding = this.#encodingFor(message.encoding, samples);
    // A frame that has not been sent completely must not be overwritten.
    if (this.#sentInPlace && !this.#framesSent) {
      this.#gradient = allocateBuffer(this.#computer, this.#gradient.length);
    }
    this.#sentInPlace = false;
    const gradient = this.#gradient;
    const header = { type: 'gradient', step, shard, ...encoding.fields } as const;
    /** End of the values that have not been sent. */
    let end = gradient.length;
    const sendEarly = (ready = 0): void => {
      // Factors stand for the whole kernel, so they need one bucket.
      const early = this.#buckets.filter(({ from, to }) => from > 0 && from >= ready && to <= end);
      const first = early.at(-1);
      const buckets =
        encoding.kernel === null || first === undefined ? early : [{ from: first.from, to: end }];
      for (const range of buckets) {
        this.#connection.send(this.#encode({ ...header, offset: range.from }, gradient, range, encoding));
        end = range.from;
      }
    };
    const offset = this.#buckets.at(-2)?.from;
    const early = offset === undefined ? undefined : { offset, onReady: sendEarly };
    const computed = await this.#computer.gradient(step, data, gradient, early, encoding.kernel !== null);
    const { lossSum, metrics } = computed;
    const result = { samples, lossSum, metrics: [...metrics], computeMs: elapsedMs() };
    if (encoding.kernel === null) sendEarly();
    const last = { ...header, offset: 0, result } as const;
    const isWhole = end === gradient.length && encoding.kernel === null;
    const isUnchanged = encoding.codec === float32 && this.#errorFeedback === null;
    const inPlace = isWhole && isUnchanged ? frameInPlace(last, gradient) : null;
    this.#sentInPlace = inPlace !== null;
    return inPlace ?? this.#encode(last, gradient, { from: 0, to: end }, encoding);
  }

  /** Chooses the encoding of a gradient. @param requested codec that the shard names */
  #encodingFor(requested: string | undefined, samples: number): Encoding {
    const codec = this.#codec;
    if (requested === FACTORS && this.#kernel !== null && areFactorsSmaller(this.#kernel, samples)) {
      return { fields: { encoding: FACTORS }, codec, kernel: this.#kernel, samples };
    }
    // If factors are requested but not possible or not smaller, the welcome's codec is used.
    if (requested === undefined || requested === FACTORS || requested === codec.name) {
      return { fields: {}, codec, kernel: null, samples };
    }
    return { fields: { encoding: requested }, codec: getCodec(requested), kernel: null, samples };
  }

  #encode(
    header: FromWorker,
    gradient: Float32Array,
    range: Range,
    { codec, kernel, samples }: Encoding,
  ): Uint8Array<ArrayBuffer> {
    if (kernel !== null) {
      const frame = this.#openFrame(header, range.from, factoredBytes(kernel, samples, range));
      encodeFactored(gradient, frame.payload, kernel, samples, range);
      return frame.bytes;
    }
    const values = gradient.subarray(range.from, range.to);
    const frame = this.#openFrame(header, range.from, codec.bytes(values.length));
    if (codec.lossy) this.#errorFeedback ??= new ErrorFeedback(gradient.length);
    if (this.#errorFeedback === null) codec.encode(values, frame.payload);
    else this.#errorFeedback.encode(codec, values, frame.payload, range.from);
    return frame.bytes;
  }

  /** Connections do not copy frames, so a frame is reused only after it was sent. An answer has one frame for each offset. */
  #openFrame(header: FromWorker, offset: number, payloadBytes: number): OpenFrame {
    const reuse = this.#framesSent ? (this.#frames.get(offset) ?? null) : null;
    const frame = openFrame(header, payloadBytes, reuse);
    this.#frames.set(offset, frame.bytes);
    return frame;
  }

  /**
   * View of samples. Returns the same object for the same payload, by which the engine recognizes prepared samples.
   * @returns null if a kept sample is missing
   */
  #view(task: Task, samples: ReceivedSamples): Shard | null {
    const { message, payload } = samples;
    if (this.#lastView?.payload !== payload) {
      const whole = this.#store === null ? payload : this.#store.assemble(task, samples);
      if (whole === null) return null;
      const shard = viewShard(whole, message.samples, this.#format);
      checkClasses(shard, this.#format);
      this.#lastView = { payload, shard };
    }
    return this.#lastView.shard;
  }
}

/** Buffer for a vector after RESERVED_HEADER_BYTES, allocated by the engine if it can write gradients there without a copy. */
function allocateBuffer(computer: GradientComputer, length: number): Float32Array {
  const bytes = RESERVED_HEADER_BYTES + length * Float32Array.BYTES_PER_ELEMENT;
  return new Float32Array(
    computer.allocateBuffer?.(bytes) ?? new ArrayBuffer(bytes),
    RESERVED_HEADER_BYTES,
    length,
  );
}
