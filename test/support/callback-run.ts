import { Buffer } from 'node:buffer';
import type { Callback } from '../../coordinator/callbacks/callback.ts';
import { CallbackList } from '../../coordinator/callbacks/callback-list.ts';
import { withScheduleOf } from '../../coordinator/callbacks/learning-rate.ts';
import type { OptimizerOptions } from '../../coordinator/optimizer/hyperparameters.ts';
import { createOptimizer, type Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import { resolveOptimizer } from '../../coordinator/optimizer/optimizer-options.ts';
import { decodeCheckpoint, encodeCheckpoint, type CallbackStates } from '../../coordinator/run/checkpoint.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { exampleJob } from '../shared/protocol/examples.ts';

/** Scores of epochs by name. */
export type History = Readonly<Record<string, readonly number[]>>;

export interface PlayOptions {
  /** Finished epochs of an earlier process. @default 0 */
  readonly from?: number;
  /** State of its callbacks. */
  readonly states?: CallbackStates | undefined;
  /** Last epoch of this process. @default that of the history */
  readonly until?: number;
  readonly runDir?: string;
  /** @default that of keras_callbacks.py */
  readonly optimizer?: OptimizerOptions;
  /** Changes of exampleJob. */
  readonly job?: Partial<Job>;
}

export interface Played {
  /** Finished epochs. */
  readonly epochs: number;
  /** First weight of the run's model: the epoch after which the model had it. */
  readonly weight: number;
  readonly list: CallbackList;
  readonly optimizer: Optimizer;
  /** Lines for the person. */
  readonly lines: readonly string[];
  /** State after a checkpoint was written and read. */
  readonly states: CallbackStates | undefined;
}

/** A job with a history's number of epochs, each of two steps. */
export const historyJob = (epochs: number, optimizer: Job['optimizer'], changes: Partial<Job> = {}): Job => ({
  ...exampleJob,
  epochs,
  optimizer,
  ...changes,
});

/** Calls callbacks as a run with these scores would. Every weight is the number of the epoch, from 1. */
export async function playHistory(
  callbacks: readonly Callback[],
  history: History,
  options: PlayOptions = {},
): Promise<Played> {
  const { from = 0, states, runDir = null } = options;
  const epochs = Object.values(history)[0]?.length ?? 0;
  const { optimizer: own = { name: 'sgd', learningRate: 0.1 } as const } = options;
  const settings = resolveOptimizer(withScheduleOf(callbacks, own, false) as OptimizerOptions, {
    names: ['d/kernel', 'd/bias'],
    steps: 2 * epochs,
    adadelta: exampleJob.optimizer,
  });
  const job = historyJob(epochs, settings, options.job);
  const optimizer = createOptimizer(settings, layoutOf(job.layout));
  const lines: string[] = [];
  const noTotals = { samples: 0, lossSum: 0, metrics: [0], seconds: 0 };
  const list = new CallbackList({
    callbacks,
    job,
    weightNames: ['d/kernel', 'd/bias'],
    optimizer,
    trainedBy: { gradcast: '0', dataDescription: 'made' },
    runDir,
    resumeFrom:
      from === 0
        ? undefined
        : { position: { epoch: from + 1, step: 0, steps: 2 * from }, tally: noTotals, last: null },
    report: { info: (line) => void lines.push(line), warn: (line) => void lines.push(`! ${line}`) },
  });
  if (states !== undefined) list.restore(states);
  let epoch = from;
  optimizer.weights.fill(epoch);
  await list.begin();
  while (epoch < Math.min(epochs, options.until ?? epochs) && !list.stopSignal.aborted) {
    epoch++;
    await list.beginEpoch(epoch);
    for (let step = 2 * epoch - 1; step <= 2 * epoch; step++) {
      optimizer.weights.fill(epoch);
      await list.endStep(epoch, step, { loss: 1 / step });
    }
    const scores = Object.entries(history).map(([name, values]) => [name, values[epoch - 1] as number]);
    const record = { epoch, seconds: 1, samples_per_second: 1, workers: 1, data: 'made' };
    const complete = { loss: NaN, val_loss: NaN, ...record, ...Object.fromEntries(scores) } as EpochRecord;
    optimizer.plateau?.endEpoch(complete);
    await list.endEpoch(complete, 2 * epoch);
  }
  const state = list.state();
  const position = { epoch: epoch + 1, step: 0, steps: 2 * epoch };
  const checkpoint = { position, tally: noTotals, job, vectors: { weights: optimizer.weights } };
  const bytes = encodeCheckpoint(state === null ? checkpoint : { ...checkpoint, callbacks: state });
  await list.end(false);
  return {
    epochs: epoch,
    weight: (list.finalModel?.weights ?? optimizer.averagedWeights)[0] as number,
    list,
    optimizer,
    lines,
    states: decodeCheckpoint(Buffer.from(bytes)).callbacks,
  };
}
