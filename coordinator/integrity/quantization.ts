import { FACTORS } from '../../shared/codec/factors.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import { SCALE_BLOCK_SIZE } from '../../shared/codec/kernels/codec-kernels.ts';
import type { QuantizationLoss } from './answer.ts';

/** Codecs with one scale for each block: number of quantization steps from 0 to the largest value of a block. */
const LEVELS: ReadonlyMap<string, number> = new Map([
  ['int8', 127],
  ['int4', 7],
]);

/** Quantization steps of each worker's last payload, whose residual is part of the next one. */
export class QuantizationSteps {
  /** Steps by worker and offset of the bucket. */
  readonly #lastSteps = new Map<WorkerId, Map<number, Float32Array | null>>();

  /**
   * Records a payload, even if its answer is not used.
   * @param offset offset of its values in the flat vector
   * @param values decoded values
   * @returns bounds of the quantization error; null if there is almost none
   */
  record(worker: WorkerId, offset: number, codec: string, values: Float32Array): QuantizationLoss | null {
    const levels = LEVELS.get(codec);
    const last = this.#lastSteps.get(worker) ?? new Map<number, Float32Array | null>();
    if (levels === undefined) {
      const previousSteps = last.get(offset);
      // Factors neither contain nor change the residual; other codecs send it and leave almost none.
      if (previousSteps === undefined || codec === FACTORS) return null;
      last.delete(offset);
      return { steps: new Float32Array(previousSteps?.length ?? 0), previousSteps };
    }
    this.#lastSteps.set(worker, last);
    const steps = quantizationSteps(values, levels);
    // The residual is 0 before the first lossy payload.
    const previousSteps = last.has(offset) ? (last.get(offset) ?? null) : new Float32Array(steps.length);
    last.set(offset, steps);
    return { steps, previousSteps };
  }

  /** Marks the residual of a worker as unknown, since a payload was dropped without decoding it. */
  invalidate(worker: WorkerId): void {
    const last = this.#lastSteps.get(worker);
    if (last !== undefined) for (const offset of last.keys()) last.set(offset, null);
  }

  remove(worker: WorkerId): void {
    this.#lastSteps.delete(worker);
  }
}

/**
 * Quantization step of each block, computed from its largest value. The scale in the payload cannot be trusted: a scale larger
 * than needed would explain any difference.
 */
function quantizationSteps(values: Float32Array, levels: number): Float32Array {
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
