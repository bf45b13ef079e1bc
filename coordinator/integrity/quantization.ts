import type { WorkerId } from '../../shared/protocol/messages.ts';
import { SCALE_BLOCK_SIZE } from '../../shared/codec/kernels/codec-kernels.ts';
import type { QuantizationLoss } from './answer.ts';

/** Codecs with one quantization step for each block: how many steps the largest value of a block is. */
const LEVELS: ReadonlyMap<string, number> = new Map([
  ['int8', 127],
  ['int4', 7],
]);

/** Remembers with which steps each worker has quantized last: what it lost then is in what it sends next. */
export class QuantizationSteps {
  /** By worker, then by where a part starts in the flat vector. */
  readonly #lastSteps = new Map<WorkerId, Map<number, Float32Array | null>>();

  /**
   * A payload has come, whether or not it counts.
   * @param at where its values start in the flat vector
   * @param values as decoded
   * @returns what quantization may have changed in it; null if that is nothing to speak of
   */
  record(worker: WorkerId, at: number, codec: string, values: Float32Array): QuantizationLoss | null {
    const levels = LEVELS.get(codec);
    if (levels === undefined) return null;
    const last = this.#lastSteps.get(worker) ?? new Map<number, Float32Array | null>();
    this.#lastSteps.set(worker, last);
    const steps = stepsIn(values, levels);
    // Before the first lossy payload nothing was lost.
    const before = last.has(at) ? (last.get(at) ?? null) : new Float32Array(steps.length);
    last.set(at, steps);
    return { steps, previousSteps: before };
  }

  /** A payload of this worker was dropped unread: what it has lost since is not known. */
  invalidate(worker: WorkerId): void {
    const last = this.#lastSteps.get(worker);
    if (last !== undefined) for (const at of last.keys()) last.set(at, null);
  }

  remove(worker: WorkerId): void {
    this.#lastSteps.delete(worker);
  }
}

/**
 * The step of each block, by its largest value. The scale in the payload is only a claim: one that is larger than its values
 * need would explain any difference.
 */
function stepsIn(values: Float32Array, levels: number): Float32Array {
  const steps = new Float32Array(Math.ceil(values.length / SCALE_BLOCK_SIZE));
  for (let block = 0; block < steps.length; block++) {
    let largest = 0;
    const end = Math.min(values.length, (block + 1) * SCALE_BLOCK_SIZE);
    for (let i = block * SCALE_BLOCK_SIZE; i < end; i++)
      largest = Math.max(largest, Math.abs(values[i] as number));
    steps[block] = largest / levels;
  }
  return steps;
}
