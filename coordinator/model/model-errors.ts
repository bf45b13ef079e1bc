import type * as tfjs from '@tensorflow/tfjs';
import type { CustomCode } from '../../shared/model/custom-code.ts';

/** Error of tfjs, with the layer that threw it. */
export class LayerError extends Error {
  readonly layer: string;

  constructor(layer: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.layer = layer;
  }
}

/**
 * Runs a function that applies layers, and adds the layer to its errors. tfjs-layers has no other way to find the layer.
 * @throws LayerError for an error within a layer; other errors unchanged
 */
export async function withLayerNames<T>(tf: typeof tfjs, run: () => Promise<T>): Promise<T> {
  const { prototype } = tf.layers.Layer;
  const apply = Reflect.get(prototype, 'apply');
  prototype.apply = function applyNamed(this: tfjs.layers.Layer, ...args: Parameters<typeof apply>) {
    try {
      return apply.apply(this, args);
    } catch (error) {
      // Keeps the innermost layer.
      throw error instanceof LayerError
        ? error
        : new LayerError(`${this.name} (${this.getClassName()})`, error);
    }
  };
  try {
    return await run();
  } finally {
    prototype.apply = apply;
  }
}

/** Explanations of tfjs' messages, by patterns that they contain. */
const EXPLANATIONS: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
  [
    /expected (?:min_)?ndim=(\d+), found ndim=(\d+)/,
    ([, expected, actual]) =>
      `takes an input of ${Number(expected) - 1} axes, but gets one of ${Number(actual) - 1}`,
  ],
  [/is incompatible with layer/, () => 'gets an input of a shape that it does not take'],
  [/Total size of new array must be unchanged/, () => 'gets an input of another size than its target_shape'],
  [
    /could not be broadcast|matching shapes|Dimension incompatibility/,
    () => 'gets inputs whose shapes do not fit',
  ],
  [
    /not fully defined|should (?:be|have a) defined/,
    () => 'needs an input whose size is known. Give the model an input_shape',
  ],
  [
    /Identity matrix initializer|2D square/,
    () => 'has the initializer Identity for a tensor that is not square',
  ],
  [
    /[Ii]nvalid.*(?:shape|size|length)|negative|(?:must|should) be (?:>|greater|positive)|non-negative/,
    () => 'gets an input that is too small for it',
  ],
  [
    /Kernel '(\w+)' not registered|no kernel (\w+)/,
    () => 'needs an operation that WebAssembly workers do not have',
  ],
  [/gradient function|[Gg]radient/, () => 'has no gradient in TensorFlow.js'],
];

/** Errors of gradcast's own layers name the layer and its class; those of tfjs do not. */
const OWN_ERROR_MESSAGE = /^Layer \S+ (?:\(\w+\) |is called with ).*\.$/s;
/** Errors of custom code name the function, and end as its author has written them. */
const CUSTOM_ERROR_MESSAGE =
  /^(?:The (?:loss|metric) \w+ (?:returns|has failed)|The custom code |Custom code )/;

/**
 * Replaces an error of tfjs, which names its internals, by an error with a sentence for the user.
 * @param action what failed: the model cannot be built, or trained
 * @param custom names of custom layers and losses, whose own errors are for their author
 */
export function explainModelError(
  error: unknown,
  action: 'built' | 'trained',
  custom?: Pick<CustomCode, 'layers' | 'losses'>,
): Error {
  const message = error instanceof Error ? error.message : String(error);
  // Errors of gradcast's own layers are sentences already.
  const cause = error instanceof LayerError ? error.cause : error;
  if (cause instanceof Error && OWN_ERROR_MESSAGE.test(cause.message)) return cause;
  if (cause instanceof Error && CUSTOM_ERROR_MESSAGE.test(cause.message)) return cause;
  const layer = error instanceof LayerError ? `Layer ${error.layer}` : null;
  if (layer !== null && custom?.layers.some((name) => layer.endsWith(`(${name})`)) === true)
    return new Error(`${layer} has failed: ${message}`, { cause: error });
  const [, operation] = /gradient function not found for (\w+)/.exec(message) ?? [];
  const [loss] = custom?.losses ?? [];
  if (layer === null && loss !== undefined && operation !== undefined) {
    return new Error(
      `The loss ${loss} uses ${operation}, which has no gradient in TensorFlow.js. relu, abs, minimum and maximum have one.`,
      { cause: error },
    );
  }
  for (const [pattern, explain] of EXPLANATIONS) {
    const match = pattern.exec(message);
    if (match === null) continue;
    const subject = layer ?? 'The model has a layer that';
    return new Error(`${subject} ${explain(match)}. Change the model.`, { cause: error });
  }
  return new Error(
    `${layer ?? 'The model'} cannot be ${action} with these settings. Change or remove it to find the setting.`,
    { cause: error },
  );
}
