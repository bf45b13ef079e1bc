import { float32 } from '../../shared/codec/float32.ts';
import { getCodec } from '../../shared/codec/registry.ts';
import { openFrame, type OpenFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, Step } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Worker } from '../pool/worker.ts';
import { UpdateEncoder } from './update-encoder.ts';

/** Source of a step's weights, such as an optimizer, which keeps them while it applies the next step's update. */
export interface WeightsSource {
  readonly committedWeights: Float32Array;
}

/** Weights that a worker was sent. */
interface SentWeights {
  /** Step of the last complete weights; null before the first. */
  step: Step | null;
  /** Buckets of a later step that were sent early: all values from an offset on. */
  early: { readonly kind: 'weights' | 'update'; readonly step: Step; readonly offset: number } | null;
}

/** Frame with the next step's weights, filled from its end as buckets are published. */
interface NextFrame {
  readonly step: Step;
  readonly weights: Float32Array;
  readonly frame: OpenFrame;
  /** Offset from which on the frame is filled. */
  offset: number;
}

/**
 * Sends workers the weights of the step in progress and, early, buckets of the next step's weights. A link with an update codec
 * is sent encoded differences instead. If one link has an update codec, all workers compute with the weights that result from
 * these differences.
 */
export class WeightsPublisher {
  readonly #pool: WorkerPool;
  readonly #length: number;
  /** Offset of the last bucket that is sent early. */
  readonly #firstOffset: number;
  readonly #sent = new WeakMap<Worker, SentWeights>();
  /** Frames by range or bucket, each encoded once for all workers. */
  readonly #frames = new Map<string, { readonly step: Step; readonly bytes: Uint8Array<ArrayBuffer> }>();
  /** Whether all frames of earlier steps have been sent, so that they can be overwritten in this step. */
  #framesFlushed = false;
  /** Null if no worker is likely to be sent the next weights in one frame. */
  #nextFrame: NextFrame | null = null;
  #unusedFrame: Uint8Array<ArrayBuffer> | null = null;
  /** Null before the first link with an update codec. */
  #updates: UpdateEncoder | null = null;
  /** Whether workers compute with the weights that result from updates. */
  #usesUpdates = false;
  #step: Step = 0 as Step;
  #source: WeightsSource;

  /**
   * @param length values of the flat vector
   * @param bucketOffsets offsets of the buckets, ascending from 0
   */
  constructor(pool: WorkerPool, length: number, bucketOffsets: readonly number[]) {
    this.#pool = pool;
    this.#length = length;
    this.#firstOffset = bucketOffsets[1] ?? 0;
    this.#source = { committedWeights: new Float32Array(length) };
  }

  /** Weights with which workers compute the step. */
  get current(): Float32Array {
    return this.#usesUpdates && this.#updates !== null
      ? this.#updates.weights
      : this.#source.committedWeights;
  }

  /**
   * Begins a step with these weights.
   * @param options.exact whether workers need the source's exact weights, not those that result from updates. @default false
   */
  beginStep(step: Step, source: WeightsSource, { exact = false }: { readonly exact?: boolean } = {}): void {
    this.#step = step;
    this.#source = source;
    const workers = [...this.#pool.workers.values()];
    this.#framesFlushed = workers.every(({ connection }) => connection.bufferedBytes === 0);
    const updated = workers.filter(({ link }) => link.updateCodec !== null);
    // One codec for all links, since all workers must compute with the same weights.
    const codec = updated[0]?.link.updateCodec ?? null;
    this.#usesUpdates = codec !== null;
    this.#useNextFrame();
    if (codec === null) return;
    // Early buckets of workers without updates differ from the weights that result from updates.
    for (const worker of workers) if (worker.link.updateCodec === null) this.#sentTo(worker).early = null;
    const updates = (this.#updates ??= this.#createEncoder());
    updates.setCodec(getCodec(codec));
    if (updates.step === step && (updates.isExact || !exact)) return;
    const hasFollowers = updated.some((worker) => this.#sentTo(worker).step === updates.step);
    if (!exact && updates.step === step - 1 && hasFollowers) {
      updates.advance(source.committedWeights);
      return;
    }
    updates.reset(step, source.committedWeights);
    for (const worker of workers) if (this.#sentTo(worker).step === step) this.#sentTo(worker).step = null;
    this.#frames.delete(frameKey(0, this.#length));
  }

  /** Sends a worker those of the step's weights that it lacks. */
  sendTo(worker: Worker): void {
    const sent = this.#sentTo(worker);
    if (sent.step === this.#step) return;
    const end = this.#earlyOffset(worker, this.#step);
    const updates = this.#updatesFor(worker);
    for (const { offset, frame } of updates) {
      if (offset >= end) continue;
      worker.connection.send(frame);
      // Other workers were sent this bucket during the previous step; the next update's bucket would overwrite it.
      if (offset > 0) this.#framesFlushed = false;
    }
    if (updates.length === 0) {
      const to = worker.link.updateCodec === null ? end : this.#length;
      worker.connection.send(this.#weightsFrame(this.#step, this.current, { from: 0, to }));
    }
    sent.step = this.#step;
  }

  /**
   * Publishes a range of the next step's weights. Workers with buckets are sent it at once, unless it is the first range of the
   * vector, after which the step may still be repeated. For other workers it is written into the next step's frame, while it is
   * in the CPU's cache.
   * @param weights flat vector of the next step, final from `range.from` on
   * @param range adjoins the previously published range, which is behind it
   */
  publishBucket(weights: Float32Array, range: Range): void {
    if (range.from > 0) this.#sendEarly(weights, range);
    this.#fillNextFrame(weights, range);
  }

  /** Discards the published buckets of the next step, whose weights will be others. */
  rollback(): void {
    for (const [key, { step }] of this.#frames) if (step > this.#step) this.#frames.delete(key);
    this.#updates?.discardNext();
    this.#nextFrame = null;
    for (const worker of this.#pool.workers.values()) {
      const sent = this.#sentTo(worker);
      // The worker would add early buckets of this update to the next one, so it is sent whole weights.
      if (sent.early !== null && worker.link.updateCodec !== null) sent.step = null;
      sent.early = null;
    }
  }

  /** Sends all workers whole weights from now on: the run is rewound to an earlier step. */
  reset(): void {
    this.#updates = null;
    this.#usesUpdates = false;
    this.#nextFrame = null;
    this.#frames.clear();
    for (const worker of this.#pool.workers.values()) this.#sent.delete(worker);
  }

  #sendEarly(weights: Float32Array, range: Range): void {
    const next = (this.#step + 1) as Step;
    const updates = this.#usesUpdates ? this.#updates : null;
    for (const worker of this.#pool.workers.values()) {
      const sent = this.#sentTo(worker);
      const { bucketOffsets, updateCodec } = worker.link;
      if (bucketOffsets.length < 2 || sent.step !== this.#step) continue;
      // Workers without updates are sent the weights that result from the complete update.
      if ((updates === null) !== (updateCodec === null)) continue;
      // A worker that joined after the previous bucket is sent its weights after the step.
      if (this.#earlyOffset(worker, next) !== range.to) continue;
      const frame =
        updates === null
          ? this.#weightsFrame(next, weights, range)
          : updates.encodeNext(weights, range).frame;
      worker.connection.send(frame, range.from !== this.#firstOffset);
      sent.early = { kind: kindFor(worker), step: next, offset: range.from };
    }
  }

  #fillNextFrame(weights: Float32Array, { from, to }: Range): void {
    const current = this.#frames.get(frameKey(0, this.#length));
    if (current?.step !== this.#step || this.#usesUpdates) return;
    if (to === this.#length) {
      const step = (this.#step + 1) as Step;
      const reuse = this.#framesFlushed ? this.#unusedFrame : null;
      const frame = openFrame(weightsHeader(step, 0), float32.bytes(to), reuse);
      this.#nextFrame = { step, weights, frame, offset: to };
    }
    if (this.#nextFrame?.offset !== to) return;
    float32.encode(weights.subarray(from, to), this.#nextFrame.frame.payload.subarray(4 * from, 4 * to));
    this.#nextFrame.offset = from;
  }

  /** Uses the frame that was filled during the previous step, if it has this step's weights. */
  #useNextFrame(): void {
    const next = this.#nextFrame;
    this.#nextFrame = null;
    if (this.#usesUpdates || next === null || next.step !== this.#step || next.offset > 0) return;
    if (next.weights !== this.#source.committedWeights) return;
    const key = frameKey(0, this.#length);
    this.#unusedFrame = this.#frames.get(key)?.bytes ?? null;
    this.#frames.set(key, { step: this.#step, bytes: next.frame.bytes });
  }

  /** Buckets of the update from a worker's weights to this step's; empty if the worker has to be sent weights. */
  #updatesFor(worker: Worker): UpdateEncoder['buckets'] {
    const updates = this.#updates;
    if (!this.#usesUpdates || updates === null || worker.link.updateCodec === null) return [];
    const isNext = updates.step === this.#step && this.#sentTo(worker).step === this.#step - 1;
    return isNext ? updates.buckets : [];
  }

  /** Offset from which on a worker was sent a step's weights, or the update to them, early; the vector's length if none. */
  #earlyOffset(worker: Worker, step: Step): number {
    const { early } = this.#sentTo(worker);
    return early?.step === step && early.kind === kindFor(worker) ? early.offset : this.#length;
  }

  #sentTo(worker: Worker): SentWeights {
    const sent = this.#sent.get(worker) ?? { step: null, early: null };
    this.#sent.set(worker, sent);
    return sent;
  }

  #createEncoder(): UpdateEncoder {
    return new UpdateEncoder(this.#length, (step, offset, codec, payloadBytes) => {
      // With adaptive codecs, the welcome does not name one.
      const encoding = this.#pool.codecs === 'auto' ? { encoding: codec } : {};
      const header: FromCoordinator = { type: 'update', step, offset, ...encoding };
      return this.#openFrame(`update ${offset}`, header, step, payloadBytes);
    });
  }

  #weightsFrame(step: Step, weights: Float32Array, { from, to }: Range): Uint8Array {
    const key = frameKey(from, to);
    const existing = this.#frames.get(key);
    if (existing?.step === step) return existing.bytes;
    const frame = this.#openFrame(key, weightsHeader(step, from), step, float32.bytes(to - from));
    float32.encode(weights.subarray(from, to), frame.payload);
    return frame.bytes;
  }

  /** Opens a frame. Connections send without a copy, so an old frame is overwritten only after it has been sent. */
  #openFrame(key: string, header: FromCoordinator, step: Step, payloadBytes: number): OpenFrame {
    const reuse = this.#framesFlushed ? this.#frames.get(key)?.bytes : null;
    const frame = openFrame(header, payloadBytes, reuse ?? null);
    this.#frames.set(key, { step, bytes: frame.bytes });
    return frame;
  }
}

/** Kind of message that a worker is sent. It may change between steps. */
const kindFor = ({ link }: Worker): 'weights' | 'update' =>
  link.updateCodec === null ? 'weights' : 'update';

const frameKey = (from: number, to: number): string => `weights ${from}-${to}`;

const weightsHeader = (step: Step, offset: number): FromCoordinator => ({ type: 'weights', step, offset });
