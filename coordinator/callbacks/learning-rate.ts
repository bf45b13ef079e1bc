import type { ScheduleOptions, PlateauOptions } from '../optimizer/common-options.ts';
import type { OptimizerChanges, OptimizerOptions } from '../optimizer/hyperparameters.ts';
import type { Callback } from './callback.ts';

/**
 * Learning rate of an epoch.
 * @param epoch from 1
 * @param learningRate rate so far
 * @example
 * const halveEveryTen: RateFunction = (epoch, rate) => (epoch > 1 && epoch % 10 === 1 ? rate / 2 : rate);
 */
export type RateFunction = (epoch: number, learningRate: number) => number;

/**
 * Changes the learning rate over the run: by a schedule of the optimizer, or before each epoch by a function.
 * @param schedule settings of a schedule, its name, or a function of the epoch (from 1) and the rate so far
 * @example
 * learningRateSchedule({ name: 'cosine', warmupSteps: 100 });
 * learningRateSchedule((epoch, rate) => (epoch > 10 ? rate * 0.9 : rate));
 */
export function learningRateSchedule(
  schedule: ScheduleOptions | Exclude<ScheduleOptions['name'], 'piecewise'> | RateFunction,
): Callback {
  const name = 'learningRateSchedule';
  if (typeof schedule === 'string') return { name, schedule: { name: schedule } };
  if (typeof schedule === 'object') return { name, schedule };
  return {
    name,
    onEpochBegin({ epoch, learningRate, setLearningRate }) {
      const rate = schedule(epoch, learningRate);
      if (!Number.isFinite(rate) || rate < 0) {
        throw new Error(
          `The learning rate of epoch ${epoch} must be a number of at least 0, not ${String(rate)}.`,
        );
      }
      setLearningRate(rate);
    },
  };
}

/**
 * Reduces the learning rate when a metric has stopped improving: the optimizer's schedule `plateau`.
 * @example
 * const callbacks = [reduceLROnPlateau({ monitor: 'val_loss', factor: 0.2, patience: 5, minLearningRate: 0.001 })];
 */
export const reduceLROnPlateau = (options: Omit<PlateauOptions, 'name'> = {}): Callback => ({
  name: 'reduceLROnPlateau',
  schedule: { ...options, name: 'plateau' },
});

/**
 * Settings of an optimizer with the schedule of its callbacks.
 * @param optimizer settings or changes of a compiled one; undefined for the default
 * @param isCompiled whether the model's file may have an optimizer, whose settings are changed
 * @throws Error that names both if two set the schedule
 * @example
 * withScheduleOf([reduceLROnPlateau()], { name: 'adam' }, false); // { name: 'adam', schedule: { name: 'plateau' } }
 */
export function withScheduleOf(
  callbacks: readonly Callback[],
  optimizer: OptimizerOptions | OptimizerChanges | undefined,
  isCompiled: boolean,
): OptimizerOptions | OptimizerChanges | undefined {
  const [first, second] = callbacks.filter((callback) => callback.schedule !== undefined);
  if (first === undefined) return optimizer;
  const name = first.name ?? 'callback';
  if (second !== undefined || optimizer?.schedule !== undefined) {
    const other = second === undefined ? "the optimizer's schedule" : `the callback ${second.name ?? ''}`;
    throw new Error(`The callback ${name} and ${other} both set the learning rate. Leave out one of them.`);
  }
  const { schedule } = first;
  const base = optimizer ?? (isCompiled ? {} : { name: 'adadelta' });
  return { ...base, schedule } as OptimizerOptions | OptimizerChanges;
}
