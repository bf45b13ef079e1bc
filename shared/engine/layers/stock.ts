import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

/** Arguments of a layer's call besides its inputs. */
export type CallArguments = Record<string, unknown>;
export type Inputs = tfjs.Tensor | tfjs.Tensor[];
/** Configuration of a layer in tfjs-layers' camelCase. */
export type Config = Record<string, unknown>;

/** Layer class that topologies refer to by name. */
export interface LayerClass {
  new (config: never): tfjs.layers.Layer;
  readonly className: string;
}

/** Weight of a layer. */
export interface Weight {
  read(): tfjs.Tensor;
  write(value: tfjs.Tensor): void;
}

const stockClasses = new WeakMap<object, Record<string, LayerClass>>();

/**
 * Layer classes of tfjs-layers by name, captured before any is replaced.
 * @param tf owner of the class registry
 */
export function stockLayerClasses(tf: TF): Record<string, LayerClass> {
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  const captured = stockClasses.get(classNameMap);
  if (captured !== undefined) return captured;
  const stock = Object.fromEntries(
    Object.entries(classNameMap).map(([name, [constructor]]) => [name, constructor as unknown as LayerClass]),
  );
  stockClasses.set(classNameMap, stock);
  return stock;
}

/** Layer class of tfjs-layers with the members of T. @throws Error if tfjs-layers has no such class */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only the caller knows the members of the class
export function stockLayer<T>(tf: TF, name: string): new (config: Config) => T {
  const stock = stockLayerClasses(tf)[name];
  if (stock === undefined) throw new Error(`tfjs-layers has no layer ${name}.`);
  return stock as unknown as new (config: Config) => T;
}

/** Input of a layer with exactly one input. */
export function singleInput(inputs: Inputs): tfjs.Tensor {
  const [input] = Array.isArray(inputs) ? inputs : [inputs];
  if (input === undefined) throw new Error('A layer was called without an input.');
  return input;
}
