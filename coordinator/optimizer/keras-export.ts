import type { OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import { KERAS_COMMON, KERAS_OPTIMIZERS, KERAS_SCHEDULES } from './keras-config.ts';

/** Object as Keras 3 writes it. */
export interface KerasObject {
  readonly module: string;
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly registered_name: null;
}

export const kerasObject = (
  module: string,
  className: string,
  config: Readonly<Record<string, unknown>>,
): KerasObject => ({ module, class_name: className, config, registered_name: null });

/**
 * Configuration in Keras 3 of a job's optimizer: the inverse of optimizerFromKeras. Keras has no setting for tensors without weight
 * decay, and its plateau schedule is a callback.
 * @param names of the layout's tensors
 */
export function optimizerToKeras(settings: OptimizerSettings, names: readonly string[]): KerasObject {
  const [className, { keys }] = entryNamed(KERAS_OPTIMIZERS, settings.name);
  const values = settings as unknown as Readonly<Record<string, unknown>>;
  const config: Record<string, unknown> = { learning_rate: rateToKeras(settings) };
  for (const [key, own] of Object.entries({ ...KERAS_COMMON, ...keys })) config[key] = values[own] ?? null;
  if (settings.ema !== undefined) {
    config.use_ema = true;
    config.ema_momentum = settings.ema.momentum;
    config.ema_overwrite_frequency = settings.ema.overwriteSteps ?? null;
  }
  if (settings.name === 'muon') {
    [config.muon_a, config.muon_b, config.muon_c] = settings.coefficients;
    config.exclude_layers = settings.adamTensors.map((tensor) => names[tensor]);
    config.exclude_embeddings = false;
  }
  return kerasObject('keras.optimizers', className, config);
}

function rateToKeras({ learningRate, schedule }: OptimizerSettings): number | KerasObject {
  if (schedule === undefined || schedule.name === 'plateau') return learningRate;
  const [className, { keys }] = entryNamed(KERAS_SCHEDULES, schedule.name);
  const values = schedule as unknown as Readonly<Record<string, unknown>>;
  const config: Record<string, unknown> = {};
  for (const [key, own] of Object.entries(keys)) config[key] = values[own] ?? null;
  if (schedule.name !== 'piecewise') config.initial_learning_rate = learningRate;
  if (schedule.name === 'cosine' && schedule.warmupSteps > 0) {
    config.initial_learning_rate = schedule.warmupFrom;
    config.warmup_target = learningRate;
  }
  return kerasObject('keras.optimizers.schedules', className, config);
}

function entryNamed<Entry extends { readonly name: string }>(
  table: Readonly<Record<string, Entry>>,
  name: string,
): [string, Entry] {
  const found = Object.entries(table).find(([, entry]) => entry.name === name);
  if (found === undefined) throw new Error(`Keras has no ${name}.`);
  return found;
}
