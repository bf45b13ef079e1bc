import type { Dataset } from '../../shared/data/dataset.ts';
import { parsePreprocessing } from '../../shared/data/preprocessing.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { Job } from '../../shared/model/job.ts';
import { Scoring, type ScoreValues } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { describeTransposition } from '../data/dataset-warnings.ts';
import { openDataset, type DataFlags } from '../data/load-dataset.ts';
import { modelPenalty } from '../optimizer/tensor-rules.ts';
import { EVALUATING, type Reporter } from '../report/reporter.ts';
import { loadModel } from '../run/model-folder.ts';
import { Interrupted } from '../training/errors.ts';
import { withCoordinator, type RunProgram } from './run-session.ts';

export interface EvaluateModelFlags extends Omit<DataFlags, 'seed'> {
  readonly engine: EngineChoice;
}

export interface EvaluateModelOptions {
  readonly program: RunProgram;
  readonly clock: Clock;
  readonly report: Reporter;
  readonly signal: AbortSignal;
  /** Number of local workers. Called once, after model and data are loaded. */
  readonly chooseWorkerCount: () => Promise<number>;
}

/**
 * Computes loss and metrics of a saved model on local workers, as a run's validation does.
 * @returns means over the test samples; null if the evaluation was stopped
 * @throws Error with a sentence if the model cannot be read, or does not fit the data set
 */
export async function evaluateModel(
  modelDir: string,
  flags: EvaluateModelFlags,
  { program, clock, report, signal, chooseWorkerCount }: EvaluateModelOptions,
): Promise<ScoreValues | null> {
  try {
    const { job, weights, metadata } = await loadModel(modelDir);
    const { classNames } = metadata;
    const preprocessing = parsePreprocessing(metadata.preprocessing);
    const how = { ...flags, seed: job.seed, preprocessing, classNames, isMeasured: true };
    const dataset = await openDataset(how, report, signal);
    report.info(`${dataset.description.replace(/\.$/, '')}: ${dataset.test.count} test samples`);
    for (const line of describeTransposition(dataset)) report.warn(line);
    checkDataFits(job, dataset);
    const workers = await chooseWorkerCount();
    if (signal.aborted) return null;
    const session = {
      engine: flags.engine,
      workers,
      host: '127.0.0.1',
      port: 0,
      job,
      program,
      clock,
      report,
      interrupt: { signal },
      onOpen: () => undefined,
      trustsWorkers: true,
    };
    const score = await withCoordinator(session, ({ stepRunner }) =>
      rejectOnAbort(
        stepRunner.evaluate({ step: 0 as Step, weights, split: dataset.test }, (done, total) =>
          report.progress(EVALUATING, done, total),
        ),
        signal,
      ),
    );
    const means = new Scoring(job).means(score, dataset.test.count);
    return { ...means, loss: means.loss + modelPenalty(job, weights) };
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted) return null;
    throw error;
  }
}

/** Rejects at once when the signal is aborted, since an evaluation has nothing to save. @throws Interrupted */
function rejectOnAbort<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Interrupted());
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    work.then(resolve, reject);
  });
}

/** @throws Error with a sentence if the model was trained on other samples */
export function checkDataFits(job: Job, dataset: Dataset): void {
  const { data } = job;
  const { name } = dataset;
  const trained = describeSamples(job);
  const found = describeSamples(dataset);
  if (trained !== found) {
    throw new Error(
      `The model was trained on ${data.name} (${trained}), but ${name} is ${found}. Use other --data.`,
    );
  }
}

/** Shapes and numbers of classes of inputs and targets. */
const describeSamples = ({ inputs, targets }: Pick<Dataset, 'inputs' | 'targets'>): string =>
  [
    ...inputs.map(({ shape }) => shape.join(' x ')),
    ...targets.map(({ shape, classes }) =>
      classes === undefined ? shape.join(' x ') : `${classes} classes`,
    ),
  ].join(', ');
