import type * as tfjs from '@tensorflow/tfjs';
import {
  CUSTOM,
  describeCode,
  isCustomName,
  type CodeBundle,
  type CustomCode,
} from '../model/custom-code.ts';
import { canonicalName, isLossName } from '../model/losses.ts';
import { metricDefinition } from '../model/metrics.ts';
import { isRecord } from '../model/keras-layer.ts';
import type { CustomTerm } from '../model/outputs.ts';
import { errorMessage } from '../util/error-message.ts';
import type { TF } from '../util/tf.ts';
import { registerLayers } from './layers/register.ts';

/** Value of each sample, [samples], from the target and the output of the model, both [samples, ...shape of the output]. */
type SampleFunction = (tf: TF, target: tfjs.Tensor, output: tfjs.Tensor) => unknown;
type LayerClass = tfjs.serialization.SerializableConstructor<tfjs.serialization.Serializable> & {
  className: string;
  fromConfig: tfjs.serialization.FromConfigMethod<tfjs.serialization.Serializable>;
};

/** Names that stand for several losses or metrics. */
const RESERVED: readonly string[] = [CUSTOM, 'accuracy', 'ce', 'crossentropy', 'loss'];

/** Layers, losses and metrics that a bundle makes for one TensorFlow.js. */
export class CustomObjects {
  readonly #tf: TF;
  readonly #layers: ReadonlyMap<string, LayerClass>;
  readonly #losses: ReadonlyMap<string, SampleFunction>;
  readonly #metrics: ReadonlyMap<string, SampleFunction>;

  /**
   * @param exported default export of a bundle: a function that makes { layers, losses, metrics } with a TensorFlow.js
   * @throws Error with a sentence that names what is wrong
   * @example
   * new CustomObjects(tf, (tf) => ({ losses: { half: (tf, y, p) => tf.mul(0.5, tf.sum(tf.squaredDifference(y, p), -1)) } }));
   */
  constructor(tf: TF, exported: unknown) {
    if (typeof exported !== 'function') {
      throw new Error(
        'Custom code has no default export that is a function. End it with export default (tf) => ({ layers: [], losses: {}, metrics: {} }).',
      );
    }
    const made: unknown = (exported as (tf: TF) => unknown)(tf);
    if (!isRecord(made))
      throw new Error('The function of custom code returns no { layers, losses, metrics }.');
    const { layers = [], losses = {}, metrics = {}, ...others } = made;
    const [unknown] = Object.keys(others);
    if (unknown !== undefined)
      throw new Error(`Custom code returns ${unknown}. It has layers, losses and metrics only.`);
    if (!Array.isArray(layers)) throw new Error('The layers of custom code are no list of classes.');
    this.#tf = tf;
    registerLayers(tf);
    this.#layers = new Map(layers.map((layer) => readLayer(tf, layer)));
    if (this.#layers.size < layers.length) throw new Error('Two layers of custom code have the same name.');
    this.#losses = readFunctions('loss', losses);
    this.#metrics = readFunctions('metric', metrics);
  }

  /** Imports a bundle. @throws Error with a sentence if it fails, or lacks what the job names */
  static async import(tf: TF, code: CustomCode, module: string): Promise<CustomObjects> {
    const objects = await importCustomObjects(tf, module);
    for (const kind of ['layers', 'losses', 'metrics'] as const) {
      const missing = code[kind].find((name) => !objects.names[kind].includes(name));
      if (missing !== undefined)
        throw new Error(`The custom code lacks ${missing} of ${describeCode(code)}, which the job names.`);
    }
    return objects;
  }

  /** Names of what it has. */
  get names(): Omit<CustomCode, 'hash'> {
    return {
      layers: [...this.#layers.keys()],
      losses: [...this.#losses.keys()],
      metrics: [...this.#metrics.keys()],
    };
  }

  /**
   * Runs a function that makes a model from a topology, at once, with the layers under their class names. They are taken away
   * again: two jobs in one process may each have a layer of the same name.
   */
  withLayers<Result>(build: () => Result): Result {
    const { classNameMap } = this.#tf.serialization.SerializationMap.getMap();
    for (const [name, layer] of this.#layers) classNameMap[name] = [layer, layer.fromConfig];
    try {
      return build();
    } finally {
      for (const name of this.#layers.keys()) Reflect.deleteProperty(classNameMap, name);
    }
  }

  /**
   * Values of a loss or metric for each sample.
   * @param target and output: [samples, ...shape of the output]; the target is one-hot for classes
   * @returns [samples], float32
   * @throws Error with a sentence that names the function if it fails, or returns anything else
   */
  valuesOf(
    { kind, name }: Pick<CustomTerm, 'kind' | 'name'>,
    target: tfjs.Tensor,
    output: tfjs.Tensor,
  ): tfjs.Tensor {
    const compute = (kind === 'loss' ? this.#losses : this.#metrics).get(name);
    if (compute === undefined) throw new Error(`There is no custom ${kind} ${name}.`);
    let values: unknown;
    try {
      values = compute(this.#tf, target, output);
    } catch (error) {
      throw new Error(`The ${kind} ${name} has failed: ${errorMessage(error)}`, { cause: error });
    }
    if (!isTensor(this.#tf, values)) {
      throw new Error(`The ${kind} ${name} returns no tensor. It has to return one value for each sample.`);
    }
    const [samples = 0] = output.shape;
    if (values.rank !== 1 || values.size !== samples) {
      throw new Error(
        `The ${kind} ${name} returns [${values.shape.join(', ')}] for ${samples} samples, not [${samples}]. ` +
          'Reduce the other axes, as with tf.mean(x, -1).',
      );
    }
    return values.dtype === 'float32' ? values : this.#tf.cast(values, 'float32');
  }
}

const isTensor = (tf: TF, value: unknown): value is tfjs.Tensor => value instanceof tf.Tensor;

/** A bundle with its objects for the TensorFlow.js of this thread. */
export interface CustomBundle extends CodeBundle {
  readonly objects: CustomObjects;
}

/** Imports a bundle that is not described yet. @throws Error with a sentence if it fails */
export async function importCustomObjects(tf: TF, module: string): Promise<CustomObjects> {
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(/* @vite-ignore */ module)) as typeof exported;
  } catch (error) {
    throw new Error(`Custom code cannot be loaded: ${errorMessage(error)}`, { cause: error });
  }
  try {
    return new CustomObjects(tf, exported.default);
  } catch (error) {
    throw new Error(`Custom code cannot be used: ${errorMessage(error)}`, { cause: error });
  }
}

/** @throws Error with a sentence if a value is no layer class, or its name is taken */
function readLayer(tf: TF, layer: unknown): [string, LayerClass] {
  if (typeof layer !== 'function' || !(layer.prototype instanceof tf.layers.Layer))
    throw new Error('A layer of custom code is no class that extends tf.layers.Layer.');
  const layerClass = layer as unknown as LayerClass;
  // Inherited from a layer of tfjs, it would be that layer's.
  if (!Object.hasOwn(layer, 'className')) layerClass.className = layer.name;
  const { className } = layerClass;
  checkName('layer', className);
  if (Object.hasOwn(tf.serialization.SerializationMap.getMap().classNameMap, className))
    throw new Error(`The layer ${className} has the name of a layer of Keras. Give it another one.`);
  return [className, layerClass];
}

function readFunctions(kind: CustomTerm['kind'], functions: unknown): Map<string, SampleFunction> {
  if (!isRecord(functions)) throw new Error(`The ${kind} functions of custom code are no object.`);
  return new Map(
    Object.entries(functions).map(([name, value]) => {
      checkName(kind, name);
      const canonical = canonicalName(name);
      if (isLossName(canonical) || metricDefinition(canonical) !== undefined || RESERVED.includes(canonical))
        throw new Error(`The ${kind} ${name} has a name of Keras. Give it another one.`);
      if (typeof value !== 'function') throw new Error(`The ${kind} ${name} of custom code is no function.`);
      return [name, value as SampleFunction];
    }),
  );
}

function checkName(kind: string, name: unknown): void {
  if (typeof name === 'string' && isCustomName(name)) return;
  throw new Error(
    `The ${kind} name ${JSON.stringify(name)} of custom code is not valid. It takes a letter, then at most 99 letters, digits and _.`,
  );
}
