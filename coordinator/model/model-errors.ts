import type * as tfjs from '@tensorflow/tfjs';

/** An error within tfjs, with the layer in which it came up. */
export class LayerError extends Error {
  readonly layer: string;

  constructor(layer: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.layer = layer;
  }
}

/**
 * Runs something that applies layers, and says in which of them it failed. tfjs-layers gives no other way to know it.
 * @throws LayerError for an error within a layer; other errors as they are
 */
export async function withLayerNames<T>(tf: typeof tfjs, run: () => Promise<T>): Promise<T> {
  const { prototype } = tf.layers.Layer;
  const apply = Reflect.get(prototype, 'apply');
  prototype.apply = function applyNamed(this: tfjs.layers.Layer, ...args: Parameters<typeof apply>) {
    try {
      return apply.apply(this, args);
    } catch (error) {
      // The innermost one knows best.
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

/** Meanings of tfjs' messages, by the words that are always in them. */
const EXPLANATIONS: readonly (readonly [RegExp, (found: RegExpExecArray) => string])[] = [
  [
    /expected (?:min_)?ndim=(\d+), found ndim=(\d+)/,
    ([, wanted, found]) =>
      `takes an input of ${Number(wanted) - 1} axes, but gets one of ${Number(found) - 1}`,
  ],
  [/is incompatible with layer/, () => 'gets an input of another shape than it takes'],
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

/**
 * One sentence on an error of tfjs, which speaks of its own insides.
 * @param doing what was being done: built, trained
 */
export function explainModelError(error: unknown, doing: string): Error {
  const message = error instanceof Error ? error.message : String(error);
  // One of ours is a sentence already.
  const cause = error instanceof LayerError ? error.cause : error;
  if (cause instanceof Error && OWN_ERROR_MESSAGE.test(cause.message)) return cause;
  const layer = error instanceof LayerError ? `Layer ${error.layer}` : null;
  for (const [pattern, meaning] of EXPLANATIONS) {
    const found = pattern.exec(message);
    if (found === null) continue;
    const subject = layer ?? 'The model has a layer that';
    return new Error(`${subject} ${meaning(found)}. Change the model.`, { cause: error });
  }
  return new Error(
    `${layer ?? 'The model'} cannot be ${doing} with these settings. Change it, or leave it out, to see which setting it is.`,
    { cause: error },
  );
}
