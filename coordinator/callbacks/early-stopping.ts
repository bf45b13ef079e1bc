import * as v from 'valibot';
import { pluralize } from '../report/reporter.ts';
import type { Callback, CallbackContext, CallbackState, Logs } from './callback.ts';
import { checkCount, Monitor, type MonitorOptions } from './monitor.ts';

/**
 * Options of {@link earlyStopping}.
 * @example
 * const options: EarlyStoppingOptions = { patience: 3, restoreBestWeights: true };
 */
export interface EarlyStoppingOptions extends MonitorOptions {
  /** Epochs without an improvement after which the run ends. @default 0 */
  readonly patience?: number;
  /** Value that has to be improved on, too. @default none */
  readonly baseline?: number;
  /** Whether the weights of the best epoch are the run's model at the end, also if the run is not ended early. @default false */
  readonly restoreBestWeights?: boolean;
  /** First epochs that do not count. @default 0 */
  readonly startFromEpoch?: number;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const scores = v.record(v.string(), v.number());
const stateSchema = v.object({
  /** Epochs since the last improvement. */
  wait: count,
  best: v.nullable(v.number()),
  /** Epoch in which the run was ended; 0 if it was not. */
  stoppedEpoch: count,
  bestEpoch: count,
  bestScores: v.optional(scores),
  bestWeights: v.optional(v.custom<Float32Array>((value) => value instanceof Float32Array)),
});
type State = v.InferOutput<typeof stateSchema>;

const START: State = { wait: 0, best: null, stoppedEpoch: 0, bestEpoch: 0 };

/**
 * Ends a run when a metric has stopped improving, by the rules of keras 3 callbacks/early_stopping.py.
 * @throws Error that names an option with a wrong value
 * @example
 * const callbacks = [earlyStopping({ monitor: 'val_loss', patience: 3, restoreBestWeights: true })];
 */
export function earlyStopping(options: EarlyStoppingOptions = {}): Callback {
  const { patience = 0, baseline = null, restoreBestWeights = false, startFromEpoch = 0 } = options;
  const monitor = new Monitor('earlyStopping', options);
  checkCount('earlyStopping', 'patience', patience);
  checkCount('earlyStopping', 'startFromEpoch', startFromEpoch);
  let state = START;
  const isPatienceOver = (): boolean => state.wait >= patience;
  const hasEnded = (): boolean => state.stoppedEpoch > 0 && isPatienceOver();
  const reason = (): string => `${monitor.name} has not improved for ${pluralize(state.wait, 'epoch')}`;

  /** Takes an epoch's value into account. @returns whether it is an improvement */
  const observe = ({ epoch, logs, model }: CallbackContext): boolean => {
    const value = monitor.valueIn(logs);
    state = { ...state, wait: state.wait + 1 };
    const isBest = monitor.isImprovement(value, state.best);
    if (restoreBestWeights && (isBest || state.bestWeights === undefined)) {
      state = { ...state, bestEpoch: epoch, bestWeights: model.weights(), bestScores: finiteScores(logs) };
    }
    if (!isBest) return false;
    const isWaitOver = baseline === null || monitor.isImprovement(value, baseline);
    state = { ...state, best: value, bestEpoch: epoch, wait: isWaitOver ? 0 : state.wait };
    return true;
  };

  return {
    name: 'earlyStopping',
    monitor: monitor.name,
    onTrainBegin({ isResumed, stop }) {
      if (!isResumed) state = START;
      // The run was resumed after its end, with no more patience than before.
      else if (hasEnded()) stop(reason());
    },
    onEpochEnd(context) {
      const { epoch, stop } = context;
      if (epoch <= startFromEpoch || observe(context)) return;
      if (!isPatienceOver() || epoch === 1) return;
      state = { ...state, stoppedEpoch: epoch };
      stop(reason());
    },
    onTrainEnd({ epoch, model, info }) {
      const { bestEpoch, bestWeights, bestScores } = state;
      if (bestWeights === undefined) return;
      model.replace(bestWeights, {
        epoch: bestEpoch,
        ...(bestScores === undefined ? {} : { scores: bestScores }),
      });
      if (bestEpoch !== epoch) info(`The saved model has the weights of epoch ${bestEpoch}, the best one.`);
    },
    state: () => state,
    restore(saved: CallbackState) {
      state = v.parse(stateSchema, saved);
    },
    hasEnded,
  };
}

/** Scores without those that JSON does not have. */
const finiteScores = (logs: Logs): Logs =>
  Object.fromEntries(Object.entries(logs).filter(([, value]) => Number.isFinite(value)));
