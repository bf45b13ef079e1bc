import type { AbortSignalLike } from '../../shared/util/clock.ts';
import { combineListeners, type StepReport } from '../report/reporter.ts';
import type { CheckpointReason } from '../run/checkpoint-writer.ts';
import type { TrainingResult } from '../training/progress.ts';
import { train, type TrainingOptions } from '../training/train.ts';
import type { CallbackList } from './callback-list.ts';

/**
 * The training loop with callbacks. They are called between two steps, and waited for.
 * @throws the errors of train; Error that names a callback that failed, after a checkpoint
 * @example
 * const trained = await trainWithCallbacks({ job, dataset, optimizer, ... }, callbacks);
 * const weights = callbacks.finalModel?.weights ?? optimizer.averagedWeights;
 */
export async function trainWithCallbacks(
  options: TrainingOptions,
  callbacks: CallbackList,
): Promise<TrainingResult> {
  if (callbacks.isEmpty) return train(options);
  try {
    await callbacks.begin();
    const { epoch, step } = options.resumeFrom?.position ?? { epoch: 1, step: 0 };
    const isOver = epoch > options.job.epochs || callbacks.stopSignal.aborted || options.signal.aborted;
    if (step === 0 && !isOver) await callbacks.beginEpoch(epoch);
    const trained = await train(withHooks(options, callbacks));
    await callbacks.end(options.signal.aborted);
    return trained;
  } catch (error) {
    await callbacks.fail(error);
    throw error;
  }
}

/**
 * Options of a training that calls callbacks where it reports, saves and writes checkpoints. The loop does not wait for reports, so
 * a step's callbacks are called when its checkpoint may be due.
 */
function withHooks(options: TrainingOptions, callbacks: CallbackList): TrainingOptions {
  const { job, report } = options;
  const signal = eitherSignal(options.signal, callbacks.stopSignal);
  let finished: StepReport | null = null;
  let steps = options.resumeFrom?.position.steps ?? 0;
  let failure: { readonly error: unknown } | null = null;
  return {
    ...options,
    signal,
    report: combineListeners(report, {
      epochStarted: () => undefined,
      stepFinished: (event) => (finished = event),
      epochFinished: () => undefined,
    }),
    async save(record) {
      // A failure must not keep the epoch from being saved.
      await callbacks.endEpoch(record, steps).catch((error: unknown) => (failure = { error }));
      await options.save(record);
    },
    async checkpoint(when, position, totals) {
      const write = async (reason: CheckpointReason): Promise<void> =>
        options.checkpoint?.(reason, position, totals);
      if (finished !== null) {
        const { epoch, loss, metrics } = finished;
        finished = null;
        ({ steps } = position);
        try {
          await callbacks.endStep(epoch, steps, { loss, ...metrics });
        } catch (error) {
          await write('stop');
          throw error;
        }
      }
      await write(when === 'step' && signal.aborted ? 'stop' : when);
      if (failure !== null) throw failure.error;
      if (when === 'epoch' && position.epoch <= job.epochs && !signal.aborted)
        await callbacks.beginEpoch(position.epoch);
    },
  };
}

/** Signal that is aborted when one of two is. */
const eitherSignal = (one: AbortSignalLike, other: AbortSignalLike): AbortSignalLike => ({
  get aborted() {
    return one.aborted || other.aborted;
  },
  addEventListener(type, listener) {
    for (const signal of [one, other]) signal.addEventListener(type, listener);
  },
  removeEventListener(type, listener) {
    for (const signal of [one, other]) signal.removeEventListener(type, listener);
  },
});
