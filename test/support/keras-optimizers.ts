import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { scaleOptimizer } from '../../coordinator/model/model.ts';
import { optimizerFromKeras } from '../../coordinator/optimizer/keras-config.ts';
import { createOptimizer, type Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import { resolveOptimizer } from '../../coordinator/optimizer/optimizer-options.ts';
import { layoutOf, type Layout } from '../../shared/model/layout.ts';
import type { TensorRule } from '../../shared/model/optimizer-settings.ts';
import { hashedTensor, lowbias32 } from './hashed-values.ts';

/** Figures of test/reference/keras_optimizers.py, whose header describes them. */
export interface KerasOptimizers {
  readonly scheduleSteps: number[];
  readonly cases: {
    readonly name: string;
    readonly tensors: { readonly name: string; readonly shape: number[] }[];
    readonly optimizer: unknown;
    readonly noDecay: string[];
    readonly weights: string[];
    readonly final?: string;
    readonly tensorRules?: TensorRule[];
    readonly penalties?: number[];
  }[];
  readonly plateaus: {
    readonly config: Readonly<Record<string, number>> & { readonly monitor?: 'val_accuracy' };
    readonly scores: number[];
    readonly rates: string;
  }[];
  readonly schedules: { readonly name: string; readonly schedule: unknown; readonly rates: string }[];
}

/** All figures. */
export const kerasOptimizers = JSON.parse(
  readFileSync(new URL('../reference/keras-optimizers.json', import.meta.url), 'utf8'),
) as KerasOptimizers;
/** Ten steps of an optimizer. */
export type OptimizerCase = KerasOptimizers['cases'][number];
export const layoutFor = ({ tensors }: OptimizerCase): Layout =>
  layoutOf(tensors.map(({ shape }) => ({ shape, trainable: true })));

/** Values of an array in base64. */
export function decode(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}

/** Gradient of a step, as test/reference/keras_optimizers.py computes it. */
export function gradientOf(step: number, layout: Layout): Float32Array {
  const gradient = new Float32Array(layout.length);
  layout.slices.forEach(({ offset, size }, t) => {
    for (let i = 0; i < size; i++) {
      const u = lowbias32(step * 7919 + t * 1000003 + i + 1) / 2 ** 32;
      const exponent = lowbias32(i + 17 * t + 5) % 17;
      gradient[offset + i] = (2 * u - 1) * Number(`1e${exponent - 12}`);
    }
  });
  return gradient;
}

/** Optimizer of a case, with its initial weights. */
export function createFor(each: OptimizerCase): Optimizer {
  const { optimizer, noDecay, tensorRules } = each;
  const layout = layoutFor(each);
  const names = each.tensors.map(({ name }) => name);
  const options = optimizerFromKeras(optimizer);
  const settings = resolveOptimizer(noDecay.length === 0 ? options : { ...options, noDecay }, {
    names,
    steps: 100,
    adadelta: scaleOptimizer(128),
  });
  const created = createOptimizer(
    tensorRules === undefined ? settings : { ...settings, tensorRules },
    layout,
  );
  layout.slices.forEach((slice, t) => {
    const shape = slice.shape.length === 0 ? [1] : slice.shape;
    created.weights.set(hashedTensor(t, names[t]!, { ...slice, shape }), slice.offset);
  });
  return created;
}

/** Whether a rule, clip or constraint takes a norm, whose sum Keras adds in another order, or a penalty its slope. */
export const takesNorm = (name: string): boolean =>
  /norm|lamb|muon|accumulation, ema|penalties|constraints/.test(name);
