import { getCodec } from '../../shared/codec/registry.ts';
import { float32 } from '../../shared/codec/float32.ts';
import { openFrame, type OpenFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, Step } from '../../shared/protocol/messages.ts';
import { bucketRanges } from '../../shared/protocol/buckets.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { WeightsReplica } from './replica.ts';

import type { Range } from '../../shared/util/range.ts';

type FrameKind = 'whole' | 'head' | `tail ${number}`;

interface NextWeights {
  readonly step: Step;
  readonly source: Float32Array;
  readonly frame: OpenFrame;
  /** All from here on is in the frame. */
  from: number;
}

interface CachedFrame {
  readonly step: Step;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Brings workers the weights of the step in progress, and ahead of it the tail of the next one's. As soon as one worker
 * gets updates, everybody computes with the weights that these make.
 */
export class WeightsPublisher {
  readonly #pool: WorkerPool;
  readonly #bucketOffsets: readonly number[];
  /** By piece: what was made last, once for everybody. */
  readonly #frames = new Map<string, CachedFrame>();
  /** Room for the weights of a step whose own are being updated before it is over. */
  readonly #snapshot: Float32Array;
  /** Whether all frames of the steps before had left when this one began: they may then be written over. */
  #framesFlushed = false;
  /** The next step's weights, whole, as far as they are known; null if nobody is likely to be sent them so. */
  #nextWeights: NextWeights | null = null;
  /** The frame of whole weights before the one of now. */
  #reusableFrame: Uint8Array<ArrayBuffer> | null = null;
  /** Null until a link has updates. */
  #replica: WeightsReplica | null = null;
  #step: Step = 0 as Step;
  /** What workers need. */
  #weights: Float32Array;
  /** The coordinator's own, or the copy that was kept of them. */
  #exactWeights: Float32Array;

  /**
   * @param length of the flat vector
   * @param cuts where the pieces of its tail start; empty if it has none
   */
  constructor(pool: WorkerPool, length: number, cuts: readonly number[]) {
    this.#pool = pool;
    this.#bucketOffsets = cuts;
    this.#snapshot = new Float32Array(length);
    this.#weights = this.#exactWeights = this.#snapshot;
  }

  /**
   * From now on workers need these weights.
   * @param exact whether they need every bit of them, not what updates make of them
   */
  beginStep(step: Step, weights: Float32Array, { exact }: { readonly exact: boolean }): void {
    this.#step = step;
    this.#exactWeights = this.#weights = weights;
    const members = [...this.#pool.workers.values()];
    this.#framesFlushed = members.every(({ connection }) => connection.bufferedBytes === 0);
    const takers = members.filter(({ updateCodec }) => updateCodec !== null);
    // One for all of them: everybody is to compute with the same weights.
    const codec = takers[0]?.updateCodec ?? null;
    this.#useEncodedNext(codec === null ? weights : null);
    if (codec === null) return;
    // Those who get no updates are sent nothing ahead while others do, and what they have is not what updates make.
    for (const member of members) if (member.updateCodec === null) member.prefetchedWeights = null;
    const shared = (this.#replica ??= this.#createReplica());
    shared.setCodec(getCodec(codec));
    this.#weights = shared.values;
    if (shared.step === step && (shared.isExact || !exact)) return;
    if (!exact && shared.step === step - 1 && takers.some((member) => member.weightsStep === shared.step)) {
      shared.advance(weights);
      return;
    }
    shared.reset(step, weights);
    for (const member of members) if (member.weightsStep === step) member.weightsStep = null;
    this.#frames.delete('whole');
  }

  /** Keeps a copy: the weights are about to be updated, and whoever joins until the step is over needs the old ones. */
  snapshot(): void {
    if (this.#exactWeights === this.#snapshot) return;
    this.#snapshot.set(this.#exactWeights);
    if (this.#weights === this.#exactWeights) this.#weights = this.#snapshot;
    this.#exactWeights = this.#snapshot;
  }

  /** Undoes what has been updated of a step that cannot be ended. */
  rollback(weights: Float32Array): void {
    if (this.#exactWeights === this.#snapshot) weights.set(this.#snapshot);
    for (const { piece } of bucketRanges(this.#bucketOffsets, weights.length))
      this.#frames.delete(`tail ${piece}`);
    this.#replica?.discardNextBuckets();
    this.#nextWeights = null;
    for (const member of this.#pool.workers.values()) {
      // Pieces of an update that were sent ahead would be taken for the beginning of the next one.
      if (member.prefetchedWeights !== null && member.updateCodec !== null) member.weightsStep = null;
      member.prefetchedWeights = null;
    }
  }

  /** The run goes back to an earlier step: what workers have of weights is of no use any more. */
  rewind(): void {
    this.#replica = null;
    this.#nextWeights = null;
    this.#frames.clear();
    for (const member of this.#pool.workers.values()) {
      member.prefetchedWeights = null;
      member.weightsStep = null;
    }
  }

  /** What workers compute the step with. */
  get current(): Float32Array {
    return this.#weights;
  }

  /** Sends a worker what it lacks of the step's weights. */
  sendTo(member: Worker): void {
    if (member.weightsStep === this.#step) return;
    const pieces = this.#updateFramesFor(member);
    for (const frame of pieces) member.connection.send(frame);
    if (pieces.length === 0) {
      const tailThere =
        member.updateCodec === null && this.#prefetchedFrom(member, this.#step) === this.#bucketOffsets[0];
      const part = { from: 0, to: (tailThere ? this.#bucketOffsets[0] : null) ?? this.#weights.length };
      const name = tailThere ? 'head' : 'whole';
      member.connection.send(this.#encodeFrame(name, this.#step, this.#weights, part));
    }
    member.weightsStep = this.#step;
  }

  /**
   * A part of the next step's weights is known: everybody who takes part in this one and takes them in pieces is sent it,
   * unless it is the head; for others it is written into the frame that they will be sent, while the CPU's cache has it.
   * @param part those behind it came before
   */
  publishBucket(weights: Float32Array, part: Range): void {
    if (part.from > 0) this.#sendBucket(weights, part);
    this.#encodeNext(weights, part);
  }

  #encodeNext(weights: Float32Array, { from, to }: Range): void {
    if (this.#frames.get('whole')?.step !== this.#step || this.#weights !== this.#exactWeights) return;
    const step = (this.#step + 1) as Step;
    if (to === weights.length) {
      const reuse = this.#framesFlushed ? this.#reusableFrame : null;
      const frame = openFrame(createHeader('whole', step), float32.bytes(to), reuse);
      this.#nextWeights = { step, source: weights, frame, from: to };
    }
    if (this.#nextWeights?.from !== to) return;
    float32.encode(weights.subarray(from, to), this.#nextWeights.frame.payload.subarray(4 * from, 4 * to));
    this.#nextWeights.from = from;
  }

  /** @param weights that are to be sent as they are; null if there are none */
  #useEncodedNext(weights: Float32Array | null): void {
    const next = this.#nextWeights;
    this.#nextWeights = null;
    if (next?.step !== this.#step || next.source !== weights || next.from > 0) return;
    this.#reusableFrame = this.#frames.get('whole')?.bytes ?? null;
    this.#frames.set('whole', { step: this.#step, bytes: next.frame.bytes });
  }

  #sendBucket(updated: Float32Array, part: Range): void {
    const next = (this.#step + 1) as Step;
    const shared = this.#replica !== null && this.#weights === this.#replica.values ? this.#replica : null;
    for (const member of this.#pool.workers.values()) {
      if (!member.supportsBuckets || member.weightsStep !== this.#step) continue;
      // What those need who get no updates is known when the update is.
      if ((shared === null) !== (member.updateCodec === null)) continue;
      // Who joined after the piece behind this one is sent the rest when this step is over.
      if (this.#prefetchedFrom(member, next) !== part.to) continue;
      member.connection.send(
        shared === null
          ? this.#encodeFrame(`tail ${this.#bucketOffsets.indexOf(part.from)}`, next, updated, part)
          : shared.encodeNextBucket(updated, part).frame,
        part.from !== this.#bucketOffsets[0],
      );
      member.prefetchedWeights = { step: next, from: part.from };
    }
  }

  /** The pieces of an update that bring a worker to this step; none if it has to be sent the weights whole. */
  #updateFramesFor(member: Worker): readonly Uint8Array[] {
    const { updateCodec, weightsStep } = member;
    const shared = this.#replica;
    if (shared === null || updateCodec === null || shared.step !== this.#step) return [];
    if (weightsStep !== this.#step - 1) return [];
    return shared.buckets
      .filter(({ from }) => from < this.#prefetchedFrom(member, this.#step))
      .map(({ frame }) => frame);
  }

  /** Where that starts which a worker has been sent of a step ahead; the vector's length if that is nothing. */
  #prefetchedFrom({ prefetchedWeights }: Worker, step: Step): number {
    return prefetchedWeights?.step === step ? prefetchedWeights.from : this.#snapshot.length;
  }

  #createReplica(): WeightsReplica {
    return new WeightsReplica(this.#snapshot.length, (step, from, codec, payloadBytes) => {
      const message: FromCoordinator = {
        type: 'update',
        step,
        ...(from === 0 ? {} : { from }),
        // Where codecs are chosen no welcome names one.
        ...(this.#pool.codecs === 'auto' ? { encoding: codec } : {}),
      };
      return this.#openFrame(`update from ${from}`, message, step, payloadBytes);
    });
  }

  #encodeFrame(piece: FrameKind, step: Step, weights: Float32Array, { from, to }: Range): Uint8Array {
    const held = this.#frames.get(piece);
    if (held?.step === step) return held.bytes;
    const values = weights.subarray(from, to);
    const frame = this.#openFrame(piece, createHeader(piece, step), step, float32.bytes(values.length));
    float32.encode(values, frame.payload);
    return frame.bytes;
  }

  #openFrame(key: string, message: FromCoordinator, step: Step, payloadBytes: number): OpenFrame {
    // Frames are sent without a copy; none is made twice in a step.
    const reuse = this.#framesFlushed ? this.#frames.get(key)?.bytes : null;
    const frame = openFrame(message, payloadBytes, reuse ?? null);
    this.#frames.set(key, { step, bytes: frame.bytes });
    return frame;
  }
}

const createHeader = (piece: FrameKind, step: Step): FromCoordinator => {
  if (piece === 'whole') return { type: 'weights', step };
  if (piece === 'head') return { type: 'weights', step, head: true };
  return { type: 'weightsTail', step, piece: Number(piece.slice('tail '.length)) };
};
