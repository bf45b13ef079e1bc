import type * as tfjs from '@tensorflow/tfjs';
import { ownEntry } from '../../model/keras-layer.ts';
import { MASK_FLOWS, type MaskFlow } from '../../model/keras3-masks.ts';
import type { TF } from '../../util/tf.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  type Inputs,
  type LayerClass,
  type LayerFactory,
} from './stock.ts';

// Masks of sequences as Keras has them: [samples, steps] with 1 for steps that count, else 0. tfjs-layers passes a mask on to
// layers that have none.

/** Mask of a layer's output, from those of its inputs. @param any whether a step counts if it does in any input */
type MaskRule = (
  masks: readonly (tfjs.Tensor | null)[],
  layer: MaskedLayer,
  tf: TF,
  any: boolean,
) => tfjs.Tensor | null;

interface MaskedLayer extends tfjs.layers.Layer {
  readonly layers?: readonly MaskedLayer[];
  readonly returnSequences?: boolean;
  readonly maskZero?: boolean;
}

const first: MaskRule = ([mask = null]) => mask;
const sequences: MaskRule = ([mask = null], { returnSequences }) => (returnSequences === true ? mask : null);
/**
 * In Keras 3, a step counts if it does in one of the inputs, and without one of the masks there is none. In Keras 2, it counts if
 * it does in all inputs that have a mask.
 */
const merged: MaskRule = (masks, _layer, tf, any) => {
  const found = masks.filter((mask) => mask !== null);
  if (found.length === 0 || (any && found.length < masks.length)) return null;
  return found.reduce((all, mask) => (any ? tf.maximum(all, mask) : tf.minimum(all, mask)));
};
const unsupported: MaskRule = (masks, layer) => {
  if (masks.every((mask) => mask === null)) return null;
  throw new Error(
    `Layer ${layer.name} (${layer.getClassName()}) is called with a mask, which is not supported. Move it before the layer that masks.`,
  );
};

const RULES: Readonly<Record<MaskFlow, MaskRule>> = { first, sequences, merged, unsupported };

/** Rule of a layer that uses masks or passes them on. */
const ruleOf = (className: string): MaskRule | null => {
  const flow = ownEntry(MASK_FLOWS, className);
  return flow === undefined ? null : RULES[flow];
};

/** Layers with a mask for each input. */
const SEVERAL_MASKS: ReadonlySet<string> = new Set([
  'MultiHeadAttention',
  'GroupQueryAttention',
  'Attention',
  'AdditiveAttention',
]);

/** Mask of the values of x that differ from a value; it has no gradient. @returns float32 in the shape of x */
const differsFrom = (tf: TF, x: tfjs.Tensor, value: number): tfjs.Tensor =>
  tf.customGrad((input) => ({
    value: tf.step(tf.abs(tf.sub(input as tfjs.Tensor, value))),
    gradFunc: (dy: tfjs.Tensor) => tf.zerosLike(dy),
  }))(x);

/** Masking, which sets steps of the mask's value to 0. */
function maskingLayer(tf: TF): LayerClass {
  return class Masking extends ownLayer(tf) {
    static readonly className = 'Masking';

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      if (singleShape(inputShape).length < 3) {
        throw new Error(
          `Layer ${this.name} (Masking) masks whole samples, which changes the loss and is not supported. Use it on sequences.`,
        );
      }
      super.build(inputShape);
    }

    /** @returns [samples, steps, ..., 1] */
    maskOf(x: tfjs.Tensor): tfjs.Tensor {
      return tf.max(differsFrom(tf, x, numberOf(this, 'maskValue', 0)), -1, true);
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => tf.mul(singleInput(inputs), this.maskOf(singleInput(inputs))));
    }
  };
}

/** Mask that a layer makes of its input, or null. */
function makeMask(tf: TF, layer: MaskedLayer, input: tfjs.Tensor): tfjs.Tensor | null {
  if (layer.getClassName() === 'Embedding' && layer.maskZero === true) return differsFrom(tf, input, 0);
  if (layer.getClassName() !== 'Masking') return null;
  const mask = (layer as MaskedLayer & { maskOf(x: tfjs.Tensor): tfjs.Tensor }).maskOf(input);
  return tf.reshape(mask, mask.shape.slice(0, -1));
}

/** Whether a model makes masks. */
export const makesMasks = (model: tfjs.layers.Layer): boolean =>
  layersOf(model).some((layer) => layer.getClassName() === 'Masking' || layer.maskZero === true);

const layersOf = (model: MaskedLayer): MaskedLayer[] =>
  (model.layers ?? []).flatMap((layer) => (layer.layers === undefined ? [layer] : layersOf(layer)));

/**
 * Passes masks between the layers of a model as Keras does, if one of them makes a mask.
 * @param mergingAny names of the layers that merge masks as in Keras 3
 */
export function applyMasks(tf: TF, model: tfjs.layers.Layer, mergingAny: ReadonlySet<string>): void {
  if (!makesMasks(model)) return;
  const layers = layersOf(model);
  const masks = new WeakMap<tfjs.Tensor, tfjs.Tensor>();
  // tfjs-layers would insert this axis by an op that cannot be captured as a graph of native TensorFlow.
  const ofSteps = (mask: tfjs.Tensor | null, className: string): tfjs.Tensor | null =>
    mask !== null && ruleOf(className) === sequences ? tf.reshape(mask, [...mask.shape, 1]) : mask;
  for (const layer of layers) {
    const call = layer.call.bind(layer);
    const className = layer.getClassName();
    // tfjs-layers passes no masks of its own.
    layer.computeMask = () => null as never;
    layer.call = (inputs, kwargs) => {
      const found = [inputs].flat().map((input) => masks.get(input) ?? null);
      const outputMask =
        makeMask(tf, layer, singleInput(inputs)) ??
        ruleOf(className)?.(found, layer, tf, mergingAny.has(layer.name)) ??
        null;
      const hasMask = found.some((mask) => mask !== null);
      const mask = !hasMask
        ? null
        : SEVERAL_MASKS.has(className)
          ? found
          : ofSteps(found[0] ?? null, className);
      const results = call(inputs, { ...kwargs, mask });
      const [output] = [results].flat();
      if (outputMask === null || output === undefined) return results;
      // A layer may return its input, which has a mask of its own.
      const masked = [inputs].flat().includes(output) ? tf.clone(output) : output;
      masks.set(masked, outputMask);
      return Array.isArray(results) ? [masked, ...results.slice(1)] : masked;
    };
  }
  const call = model.call.bind(model);
  model.call = (inputs, kwargs) => {
    const outputs = call(inputs, kwargs);
    if ([outputs].flat().some((output) => masks.has(output))) {
      throw new Error(
        "A mask reaches the model's output, where Keras divides the loss by the number of steps that count in the whole batch, which " +
          'workers do not know. End the mask before: with return_sequences=False, or with a layer such as GlobalAveragePooling1D.',
      );
    }
    return outputs;
  };
}

export const maskLayers: readonly LayerFactory[] = [maskingLayer];
