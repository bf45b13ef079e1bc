import type { Job } from '../../shared/model/job.ts';
import type { Layout } from '../../shared/model/layout.ts';
import type { Range } from '../../shared/util/range.ts';
import { adadelta } from './adadelta.ts';
import type { OptimizerState, UpdateRule } from './update-rule.ts';

/**
 * Weights that each step updates in a transaction. An update may be applied bucket by bucket while other buckets are still being
 * computed; until it is committed, it can be rolled back.
 *
 * @example
 * optimizer.begin();
 * optimizer.apply(128, { from: 1000, to: 5000 }); // the last layers
 * optimizer.apply(128, { from: 0, to: 1000 });
 * optimizer.commit(); // or rollback()
 */
export interface Optimizer {
  /** Flat vector, including the updates of the open transaction. */
  readonly weights: Float32Array;
  /** Weights of the last committed step. Read only. */
  readonly committedWeights: Float32Array;
  /** Vector that a step's gradients are summed into. */
  readonly gradientSum: Float32Array;
  readonly state: OptimizerState;
  /** Starts a transaction: copies weights and state, which takes about a millisecond for a million weights. */
  begin(): void;
  /**
   * Applies a range of the gradient sum. Without an open transaction, the update cannot be rolled back.
   * @param samples samples that the sum is over
   * @param range positions to update. @default the whole vector
   */
  apply(samples: number, range?: Range): void;
  /** Ends the transaction and keeps its updates. */
  commit(): void;
  /** Ends the transaction and restores weights and state as of begin(). Does nothing if none is open. */
  rollback(): void;
}

class TransactionalOptimizer implements Optimizer {
  readonly #rule: UpdateRule;
  readonly #vectors: readonly Float32Array[];
  /** Copies of the vectors, allocated by the first transaction and reused. */
  #copies: readonly Float32Array[] = [];
  #isOpen = false;

  constructor(rule: UpdateRule) {
    this.#rule = rule;
    this.#vectors = [rule.weights, ...Object.values(rule.state)];
  }

  get committedWeights(): Float32Array {
    return (this.#isOpen ? this.#copies[0] : undefined) ?? this.#rule.weights;
  }

  get weights(): Float32Array {
    return this.#rule.weights;
  }

  get gradientSum(): Float32Array {
    return this.#rule.gradientSum;
  }

  get state(): OptimizerState {
    return this.#rule.state;
  }

  begin(): void {
    if (this.#isOpen) return;
    if (this.#copies.length === 0) this.#copies = this.#vectors.map(({ length }) => new Float32Array(length));
    for (const [i, copy] of this.#copies.entries()) copy.set(this.#vectors[i] ?? []);
    this.#isOpen = true;
  }

  apply(samples: number, range: Range = { from: 0, to: this.weights.length }): void {
    this.#rule.update(samples, range);
  }

  commit(): void {
    this.#isOpen = false;
  }

  rollback(): void {
    if (!this.#isOpen) return;
    for (const [i, vector] of this.#vectors.entries()) vector.set(this.#copies[i] ?? []);
    this.#isOpen = false;
  }
}

/** Creates the optimizer that a job asks for, with zeros in its vectors. */
export function createOptimizer(settings: Job['optimizer'], layout: Layout): Optimizer {
  return new TransactionalOptimizer(adadelta(settings, layout));
}
