import { float32 } from '../../shared/codec/float32.ts';
import { getCodec } from '../../shared/codec/registry.ts';
import { openFrame, type OpenFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, Step } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Worker } from '../pool/worker.ts';
import { UpdateEncoder } from './update-encoder.ts';

/** Weights of a step. An optimizer is one: while it applies the next step's update, it keeps these. */
export interface WeightsSource {
  readonly committedWeights: Float32Array;
}

/** Weights that a worker was sent. */
interface SentWeights {
  /** Step of the last complete weights; null before the first. */
  step: Step | null;
  /** Buckets of a later step that were sent ahead: all from an offset on. */
  ahead: { readonly kind: 'weights' | 'update'; readonly step: Step; readonly offset: number } | null;
}

/** The next step's weights in one frame, as far as they are known. */
interface NextFrame {
  readonly step: Step;
  readonly weights: Float32Array;
  readonly frame: OpenFrame;
  /** All values from this offset on are in the frame. */
  offset: number;
}

/**
 * Sends workers the weights of the step in progress and, ahead of it, buckets of the next step's. Links with an update codec get
 * encoded differences instead; as soon as one link has, all workers compute with the weights that these differences make.
 */
export class WeightsPublisher {
  readonly #pool: WorkerPool;
  readonly #length: number;
  /** Offset of the last bucket that is sent ahead. */
  readonly #firstOffset: number;
  readonly #sent = new WeakMap<Worker, SentWeights>();
  /** Frames by their purpose, each made once for all workers. */
  readonly #frames = new Map<string, { readonly step: Step; readonly bytes: Uint8Array<ArrayBuffer> }>();
  /** Whether all frames of earlier steps had left when this one began: they may then be written over. */
  #framesFlushed = false;
  /** Null where no worker is likely to be sent the next weights in one frame. */
  #nextFrame: NextFrame | null = null;
  #spareFrame: Uint8Array<ArrayBuffer> | null = null;
  /** Null until a link has an update codec. */
  #updates: UpdateEncoder | null = null;
  /** Whether workers compute with the weights that updates make. */
  #usesUpdates = false;
  #step: Step = 0 as Step;
  #source: WeightsSource;

  /**
   * @param length values of the flat vector
   * @param bucketOffsets offsets of the buckets that are published ahead, ascending from 0
   */
  constructor(pool: WorkerPool, length: number, bucketOffsets: readonly number[]) {
    this.#pool = pool;
    this.#length = length;
    this.#firstOffset = bucketOffsets[1] ?? 0;
    this.#source = { committedWeights: new Float32Array(length) };
  }

  /** Weights that workers compute the step with. */
  get current(): Float32Array {
    return this.#usesUpdates && this.#updates !== null
      ? this.#updates.weights
      : this.#source.committedWeights;
  }

  /**
   * Begins a step: workers need these weights from now on.
   * @param options.exact whether workers need every bit, not what updates make of them. @default false
   */
  beginStep(step: Step, source: WeightsSource, { exact = false }: { readonly exact?: boolean } = {}): void {
    this.#step = step;
    this.#source = source;
    const workers = [...this.#pool.workers.values()];
    this.#framesFlushed = workers.every(({ connection }) => connection.bufferedBytes === 0);
    const updated = workers.filter(({ link }) => link.updateCodec !== null);
    // One codec for all links: all workers are to compute with the same weights.
    const codec = updated[0]?.link.updateCodec ?? null;
    this.#usesUpdates = codec !== null;
    this.#useNextFrame();
    if (codec === null) return;
    // Workers without updates are sent nothing ahead now, and what they have is not what updates make.
    for (const worker of workers) if (worker.link.updateCodec === null) this.#sentTo(worker).ahead = null;
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

  /** Sends a worker what it lacks of the step's weights. */
  sendTo(worker: Worker): void {
    const sent = this.#sentTo(worker);
    if (sent.step === this.#step) return;
    const end = this.#aheadOffset(worker, this.#step);
    const updates = this.#updatesFor(worker);
    for (const { offset, frame } of updates) if (offset < end) worker.connection.send(frame);
    if (updates.length === 0) {
      const to = worker.link.updateCodec === null ? end : this.#length;
      worker.connection.send(this.#weightsFrame(this.#step, this.current, { from: 0, to }));
    }
    sent.step = this.#step;
  }

  /**
   * Publishes a range of the next step's weights: workers that take buckets are sent it at once, unless it is the first of the
   * vector, whose step is not certain yet. For other workers it is written into the frame that they will be sent, while it is in
   * the CPU's cache.
   * @param weights flat vector of the next step, final from `range.from` on
   * @param range ends where the range before it began
   */
  publishBucket(weights: Float32Array, range: Range): void {
    if (range.from > 0) this.#sendAhead(weights, range);
    this.#fillNextFrame(weights, range);
  }

  /** Takes back what was published of the next step: its weights will be others. */
  rollback(): void {
    for (const [key, { step }] of this.#frames) if (step > this.#step) this.#frames.delete(key);
    this.#updates?.discardNext();
    this.#nextFrame = null;
    for (const worker of this.#pool.workers.values()) {
      const sent = this.#sentTo(worker);
      // Buckets of an update that were sent ahead would be taken for the beginning of the next one.
      if (sent.ahead !== null && worker.link.updateCodec !== null) sent.step = null;
      sent.ahead = null;
    }
  }

  /** Forgets what workers have: the run goes back to an earlier step. */
  reset(): void {
    this.#updates = null;
    this.#usesUpdates = false;
    this.#nextFrame = null;
    this.#frames.clear();
    for (const worker of this.#pool.workers.values()) this.#sent.delete(worker);
  }

  #sendAhead(weights: Float32Array, range: Range): void {
    const next = (this.#step + 1) as Step;
    const updates = this.#usesUpdates ? this.#updates : null;
    for (const worker of this.#pool.workers.values()) {
      const sent = this.#sentTo(worker);
      const { bucketOffsets, updateCodec } = worker.link;
      if (bucketOffsets.length < 2 || sent.step !== this.#step) continue;
      // The weights of workers without updates are known when the update is.
      if ((updates === null) !== (updateCodec === null)) continue;
      // A worker that joined after the bucket behind this one is sent the rest when the step is over.
      if (this.#aheadOffset(worker, next) !== range.to) continue;
      const frame =
        updates === null
          ? this.#weightsFrame(next, weights, range)
          : updates.encodeNext(weights, range).frame;
      worker.connection.send(frame, range.from !== this.#firstOffset);
      sent.ahead = { kind: kindFor(worker), step: next, offset: range.from };
    }
  }

  #fillNextFrame(weights: Float32Array, { from, to }: Range): void {
    const whole = this.#frames.get(frameKey(0, this.#length));
    if (whole?.step !== this.#step || this.#usesUpdates) return;
    if (to === this.#length) {
      const step = (this.#step + 1) as Step;
      const reuse = this.#framesFlushed ? this.#spareFrame : null;
      const frame = openFrame(weightsHeader(step, 0), float32.bytes(to), reuse);
      this.#nextFrame = { step, weights, frame, offset: to };
    }
    if (this.#nextFrame?.offset !== to) return;
    float32.encode(weights.subarray(from, to), this.#nextFrame.frame.payload.subarray(4 * from, 4 * to));
    this.#nextFrame.offset = from;
  }

  /** Uses the frame that was filled during the step before, if it has this step's weights. */
  #useNextFrame(): void {
    const next = this.#nextFrame;
    this.#nextFrame = null;
    if (this.#usesUpdates || next === null || next.step !== this.#step || next.offset > 0) return;
    if (next.weights !== this.#source.committedWeights) return;
    const key = frameKey(0, this.#length);
    this.#spareFrame = this.#frames.get(key)?.bytes ?? null;
    this.#frames.set(key, { step: this.#step, bytes: next.frame.bytes });
  }

  /** Buckets of an update that bring a worker to this step; none if it has to be sent weights. */
  #updatesFor(worker: Worker): UpdateEncoder['buckets'] {
    const updates = this.#updates;
    if (!this.#usesUpdates || updates === null || worker.link.updateCodec === null) return [];
    const isNext = updates.step === this.#step && this.#sentTo(worker).step === this.#step - 1;
    return isNext ? updates.buckets : [];
  }

  /** Offset from which a worker has been sent a step's weights, or the update to them, ahead; the vector's length if nothing. */
  #aheadOffset(worker: Worker, step: Step): number {
    const { ahead } = this.#sentTo(worker);
    return ahead?.step === step && ahead.kind === kindFor(worker) ? ahead.offset : this.#length;
  }

  #sentTo(worker: Worker): SentWeights {
    const sent = this.#sent.get(worker) ?? { step: null, ahead: null };
    this.#sent.set(worker, sent);
    return sent;
  }

  #createEncoder(): UpdateEncoder {
    return new UpdateEncoder(this.#length, (step, offset, codec, payloadBytes) => {
      // Where codecs are chosen during the run, no welcome names one.
      const encoding = this.#pool.codecs === 'auto' ? { encoding: codec } : {};
      const header: FromCoordinator = { type: 'update', step, offset, ...encoding };
      return this.#openFrame(`update ${offset}`, header, step, payloadBytes);
    });
  }

  #weightsFrame(step: Step, weights: Float32Array, { from, to }: Range): Uint8Array {
    const key = frameKey(from, to);
    const made = this.#frames.get(key);
    if (made?.step === step) return made.bytes;
    const frame = this.#openFrame(key, weightsHeader(step, from), step, float32.bytes(to - from));
    float32.encode(weights.subarray(from, to), frame.payload);
    return frame.bytes;
  }

  /** Connections send without a copy, so a frame may be written over once it has left. */
  #openFrame(key: string, header: FromCoordinator, step: Step, payloadBytes: number): OpenFrame {
    const reuse = this.#framesFlushed ? this.#frames.get(key)?.bytes : null;
    const frame = openFrame(header, payloadBytes, reuse ?? null);
    this.#frames.set(key, { step, bytes: frame.bytes });
    return frame;
  }
}

/** Form in which a worker gets weights. It may change between steps. */
const kindFor = ({ link }: Worker): 'weights' | 'update' =>
  link.updateCodec === null ? 'weights' : 'update';

const frameKey = (from: number, to: number): string => `weights ${from}-${to}`;

const weightsHeader = (step: Step, offset: number): FromCoordinator => ({ type: 'weights', step, offset });
