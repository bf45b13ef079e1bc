import { codecNamed } from '../../shared/codec/codec.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, Step } from '../../shared/protocol/messages.ts';
import type { Member } from '../members/member.ts';
import type { WorkerPool } from '../members/worker-pool.ts';

type Piece = 'whole' | 'head' | 'tail';

interface PieceFrame {
  readonly step: Step;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Brings workers the weights of the step in progress, and ahead of it the tail of the next one's. */
export class WeightsBroadcast {
  readonly #pool: WorkerPool;
  readonly #tailFrom: number;
  /** By codec and piece: what was encoded last, once for everybody. */
  readonly #frames = new Map<string, PieceFrame>();
  readonly #kept: Float32Array;
  #step: Step = 0 as Step;
  #weights: Float32Array;

  /**
   * @param length of the flat vector
   * @param tailFrom where its tail starts; its length if it has none
   */
  constructor(pool: WorkerPool, length: number, tailFrom: number) {
    this.#pool = pool;
    this.#tailFrom = tailFrom;
    this.#kept = new Float32Array(length);
    this.#weights = this.#kept;
  }

  /** From now on workers need these weights. */
  begin(step: Step, weights: Float32Array): void {
    this.#step = step;
    this.#weights = weights;
  }

  /** Keeps a copy: the weights are about to be updated, and whoever joins until the step is over needs the old ones. */
  keep(): void {
    if (this.#weights === this.#kept) return;
    this.#kept.set(this.#weights);
    this.#weights = this.#kept;
  }

  /** Undoes what has been updated of a step that cannot be ended. */
  restore(weights: Float32Array): void {
    if (this.#weights === this.#kept) weights.set(this.#kept);
  }

  /** Sends a worker what it lacks of the step's weights. */
  bring(member: Member): void {
    if (member.weightsStep === this.#step) return;
    const piece = member.tailStep === this.#step ? 'head' : 'whole';
    member.connection.send(this.#frame(member.codec, piece, this.#step, this.#weights));
    member.weightsStep = this.#step;
  }

  /** Sends the tail of the next step's weights to everybody who takes part in this one. */
  sendTail(updated: Float32Array): void {
    const next = (this.#step + 1) as Step;
    for (const member of this.#pool.members.values()) {
      if (!member.tails || member.weightsStep !== this.#step) continue;
      member.connection.send(this.#frame(member.codec, 'tail', next, updated));
      member.tailStep = next;
    }
  }

  #frame(codecName: string, piece: Piece, step: Step, weights: Float32Array): Uint8Array {
    const key = `${codecName} ${piece}`;
    const held = this.#frames.get(key);
    if (held?.step === step) return held.bytes;
    const codec = codecNamed(codecName);
    const values = weights.subarray(
      piece === 'tail' ? this.#tailFrom : 0,
      piece === 'head' ? this.#tailFrom : weights.length,
    );
    // Frames are sent without a copy: the last one may be written over once it has left for good.
    const left = [...this.#pool.members.values()].every(({ connection }) => connection.bufferedBytes === 0);
    const { bytes, payload } = openFrame(
      headerOf(piece, step),
      codec.bytes(values.length),
      left ? held?.bytes : null,
    );
    codec.encode(values, payload);
    this.#frames.set(key, { step, bytes });
    return bytes;
  }
}

const headerOf = (piece: Piece, step: Step): FromCoordinator => {
  if (piece === 'tail') return { type: 'weightsTail', step };
  return piece === 'head' ? { type: 'weights', step, head: true } : { type: 'weights', step };
};
