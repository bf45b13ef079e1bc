import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

/** What a layer is called with besides its inputs. */
export type CallArguments = Record<string, unknown>;
export type Inputs = tfjs.Tensor | tfjs.Tensor[];
/** A layer's configuration, in tfjs-layers' camelCase. */
export type Config = Record<string, unknown>;

/** A class of tfjs-layers that topologies name. */
export interface LayerClass {
  new (config: never): tfjs.layers.Layer;
  readonly className: string;
}

/** A weight of a layer. */
export interface Weight {
  read(): tfjs.Tensor;
  write(value: tfjs.Tensor): void;
}

const stockClasses = new WeakMap<object, Record<string, LayerClass>>();

/**
 * tfjs-layers' own classes by name, as they were before any was replaced.
 * @param tf whose registry they stand in
 */
export function stockLayerClasses(tf: TF): Record<string, LayerClass> {
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  const known = stockClasses.get(classNameMap);
  if (known !== undefined) return known;
  const stock = Object.fromEntries(
    Object.entries(classNameMap).map(([name, [constructor]]) => [name, constructor as unknown as LayerClass]),
  );
  stockClasses.set(classNameMap, stock);
  return stock;
}

/** @throws Error if tfjs-layers has no such class */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what the class has
export function stockLayer<T>(tf: TF, name: string): new (config: Config) => T {
  const stock = stockLayerClasses(tf)[name];
  if (stock === undefined) throw new Error(`tfjs-layers has no layer ${name}.`);
  return stock as unknown as new (config: Config) => T;
}

/** The one input of a layer that takes one. */
export function singleInput(inputs: Inputs): tfjs.Tensor {
  const [input] = Array.isArray(inputs) ? inputs : [inputs];
  if (input === undefined) throw new Error('A layer was called without an input.');
  return input;
}
