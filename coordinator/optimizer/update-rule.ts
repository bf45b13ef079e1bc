import type { Range } from '../../shared/util/range.ts';

/** Vectors that an optimizer keeps between steps, by name; each has the flat vector's length. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

/** The arithmetic of one optimizer, over flat vectors in one memory. */
export interface UpdateRule {
  readonly weights: Float32Array;
  readonly gradientSum: Float32Array;
  readonly state: OptimizerState;
  /**
   * Updates weights and state in place.
   * @param samples samples that the gradient sum is over; their mean gradient is applied
   * @param range positions to update
   */
  update(samples: number, range: Range): void;
}
