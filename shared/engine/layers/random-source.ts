import type * as tfjs from '@tensorflow/tfjs';
import type { Draw } from '../../kernels/masks/random-values.ts';
import type { TF } from '../../util/tf.ts';

/** Source of a model's random numbers, keyed by (seed, step, sample, layer). */
export interface MaskSource {
  /**
   * Draw of a layer by its number.
   * @param shape [samples x any number, ...]; the values of a sample are one after the other
   */
  draw(layer: number, draw: Draw, shape: number[]): tfjs.Tensor;
  /** Product of x and the draw of x's shape for this rate, in one op. A source may lack it. */
  dropout?(layer: number, rate: number, x: tfjs.Tensor): tfjs.Tensor;
}

/** State of the random layers of all models of one tf. Without a source they pass their inputs on. */
export interface RandomContext {
  masks: MaskSource | null;
}

const contexts = new WeakMap<object, RandomContext>();

/** Context from which random layers draw. A training step sets its source while it computes. */
export function randomContext(tf: TF): RandomContext {
  const existing = contexts.get(tf.engine());
  if (existing !== undefined) return existing;
  const context: RandomContext = { masks: null };
  contexts.set(tf.engine(), context);
  return context;
}
