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

/** Makes a layer class for the layers of tf. */
export type LayerFactory = (tf: TF) => LayerClass;

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

/** Initializer in a layer's configuration. */
interface InitializerConfig {
  readonly className: string;
  readonly config: { readonly seed?: number | null; readonly scale?: number };
}

/** Layer of gradcast itself. Its output has the shape of its input, unless it says otherwise. */
export interface OwnLayer extends tfjs.layers.Layer {
  /** Configuration in camelCase. */
  readonly settings: Config;
  /**
   * Adds a tensor with the initializer `{kind}Initializer`.
   * @param name as Keras names it
   * @param number distinguishes tensors with one initializer, so that they are drawn from different seeds
   */
  addTensor(name: string, shape: readonly number[], kind: string, number?: number): Weight;
}

type AddWeight = (name: string, shape: number[], dtype: null, initializer: unknown) => Weight;

/** Base class of gradcast's own layers. */
export function ownLayer(tf: TF): new (config: Config) => OwnLayer {
  return class extends tf.layers.Layer implements OwnLayer {
    readonly settings: Config;

    constructor(config: Config) {
      super(config);
      this.settings = config;
      this.supportsMasking = true;
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape | tfjs.Shape[] {
      return inputShape;
    }

    addTensor(name: string, shape: readonly number[], kind: string, number = 0): Weight {
      const { className, config } = this.settings[`${kind}Initializer`] as InitializerConfig;
      const settings: { seed?: number | null; scale?: number } = { ...config };
      if (typeof settings.seed === 'number') settings.seed = (settings.seed + number) % 2 ** 32;
      // tfjs counts the square root of a vector's length as its inputs, Keras the length.
      if (settings.scale !== undefined && shape.length === 1) settings.scale /= Math.sqrt(Number(shape[0]));
      const Initializer = stockLayerClasses(tf)[className] as unknown as new (settings: object) => object;
      const add = this.addWeight.bind(this) as unknown as AddWeight;
      return add(name, [...shape], null, new Initializer(settings));
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return { ...this.settings, ...super.getConfig() } as tfjs.serialization.ConfigDict;
    }
  };
}

/** Number among a layer's settings. */
export const numberOf = ({ settings }: OwnLayer, key: string, byDefault: number): number => {
  const value = settings[key];
  return typeof value === 'number' ? value : byDefault;
};

/** The only shape that a layer with one input receives. */
export const singleShape = (shape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape =>
  Array.isArray(shape[0]) ? shape[0] : (shape as tfjs.Shape);

/** Axis counted from the first. */
export const fromFirst = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
