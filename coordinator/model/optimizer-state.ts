import { layoutOf } from '../../shared/model/layout.ts';
import type { Job, Topology } from '../../shared/model/job.ts';
import type { OptimizerName, OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import { kerasTensors } from '../model-file/keras-tensors.ts';
import type { OptimizerState } from '../model-file/model-file.ts';

/** State that an optimizer starts from. */
export interface OptimizerStart {
  /** Steps that were made before; 0 if the optimizer starts anew. */
  readonly iterations: number;
  /** Vectors of the optimizer's state by name, in the job's layout. */
  readonly vectors: Readonly<Record<string, Float32Array>>;
  /** Sentence about it. */
  readonly sentence: string;
}

/** Vectors of each optimizer whose tensors Keras saves parameter by parameter, in its order. */
const VECTORS: Partial<Readonly<Record<OptimizerName, readonly string[]>>> = {
  adagrad: ['accumulator'],
  adam: ['momentum', 'velocity'],
  adamax: ['momentum', 'norm'],
  adamw: ['momentum', 'velocity'],
  lamb: ['momentum', 'velocity'],
  lion: ['momentum'],
  rmsprop: ['velocity'],
  sgd: ['momentum'],
};

/** Names of an optimizer's vectors; null if its state is not read. */
function vectorNames(settings: OptimizerSettings): readonly string[] | null {
  if (settings.ema !== undefined || settings.accumulate !== undefined) return null;
  if (settings.name === 'sgd' && settings.momentum === 0) return [];
  if ((settings.name === 'adam' || settings.name === 'adamw') && settings.amsgrad) return null;
  if (settings.name === 'rmsprop' && (settings.centered || settings.momentum !== 0)) return null;
  return VECTORS[settings.name] ?? null;
}

/**
 * Places the state of an optimizer of Keras in a job's layout, so that training goes on from it.
 * @param names of the layout's tensors
 * @returns null if the optimizer has not made a step; a start anew if its state is not one that is read
 */
export function placeOptimizerState(
  { iterations, tensors }: OptimizerState,
  { optimizer, layout: entries }: Pick<Job, 'optimizer' | 'layout'>,
  topology: Topology,
  names: readonly string[],
): OptimizerStart | null {
  if (iterations === 0) return null;
  const anew = (reason: string): OptimizerStart => ({
    iterations: 0,
    vectors: {},
    sentence: `The optimizer of the model's file starts anew: ${reason}.`,
  });
  const vectors = vectorNames(optimizer);
  if (vectors === null) return anew(`the state of ${optimizer.name} with these settings is not read`);
  const layout = layoutOf(entries);
  const trained = kerasTensors(topology)
    .map(({ name }) => layout.slices[names.indexOf(name)])
    .filter((slice) => slice?.trainable === true);
  const count = vectors.length * trained.length;
  if (count > 0 && (tensors.length < count || tensors.length > count + 1))
    return anew('its state does not fit the trained tensors');
  // Keras 3 saves a learning rate without a schedule before them.
  const own = count === 0 ? [] : tensors.slice(tensors.length - count);
  const placed = Object.fromEntries(vectors.map((name) => [name, new Float32Array(layout.length)]));
  for (const [i, tensor] of own.entries()) {
    const slice = trained[Math.floor(i / vectors.length)];
    const isSame = slice !== undefined && String(slice.shape) === String(tensor.shape);
    if (!isSame || !tensor.values.every(Number.isFinite))
      return anew('its state does not fit the trained tensors');
    placed[vectors[i % vectors.length] ?? '']?.set(tensor.values, slice.offset);
  }
  const steps = iterations === 1 ? 'its first step' : `its ${iterations} steps`;
  return {
    iterations,
    vectors: placed,
    sentence: `The optimizer of the model's file goes on after ${steps}.`,
  };
}
