import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { scalesIn } from '../../../shared/codec/scaled-blocks.ts';
import type { QuantizationLoss } from './answer.ts';

/** Codecs whose payload starts with a scale for each block: a value is an integer times that. */
const SCALED: ReadonlySet<string> = new Set(['int8', 'int4']);

/** Remembers with which steps each worker has quantized last: what it lost then is in what it sends next. */
export class QuantizationSteps {
  /** By worker, then by where a part starts in the flat vector. */
  readonly #last = new Map<WorkerId, Map<number, Float32Array | null>>();

  /**
   * A payload has come, whether or not it counts.
   * @param length values in it
   * @returns what quantization may have changed in it; null if that is nothing to speak of
   */
  received(
    worker: WorkerId,
    at: number,
    codec: string,
    payload: Uint8Array,
    length: number,
  ): QuantizationLoss | null {
    if (!SCALED.has(codec)) return null;
    const last = this.#last.get(worker) ?? new Map<number, Float32Array | null>();
    this.#last.set(worker, last);
    const steps = scalesIn(payload, length).slice();
    // Before the first lossy payload nothing was lost.
    const before = last.has(at) ? (last.get(at) ?? null) : new Float32Array(steps.length);
    last.set(at, steps);
    return { steps, stepsBefore: before };
  }

  /** A payload of this worker was dropped unread: what it has lost since is not known. */
  missed(worker: WorkerId): void {
    const last = this.#last.get(worker);
    if (last !== undefined) for (const at of last.keys()) last.set(at, null);
  }

  left(worker: WorkerId): void {
    this.#last.delete(worker);
  }
}
