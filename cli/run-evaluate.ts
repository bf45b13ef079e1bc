import { systemClock } from '../shared/util/clock.ts';
import type { Step } from '../shared/protocol/messages.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { Dataset } from '../shared/data/dataset.ts';
import type { Job } from '../shared/model/job.ts';
import { describeTransposition } from '../coordinator/data/dataset-warnings.ts';
import { openDataset } from '../coordinator/data/load-dataset.ts';
import { EXIT_INTERRUPTED, handleInterrupts } from './interrupt.ts';
import { EVALUATING, formatMetric } from '../coordinator/report/reporter.ts';
import { resolveWorkerCount, type CliContext } from './context.ts';
import { createReporter } from '../coordinator/report/create-reporter.ts';
import { loadModel } from '../coordinator/run/model-folder.ts';
import { Interrupted } from '../coordinator/training/errors.ts';
import { withCoordinator } from '../coordinator/training/run-session.ts';

export interface EvaluateFlags {
  readonly data?: string;
  readonly transpose?: boolean;
  readonly engine: EngineChoice;
  readonly workers: number | 'auto';
}

/**
 * Loss and accuracy of a saved model, computed by local workers as a run's validation is.
 * @returns the exit code
 */
export async function runEvaluate(
  modelDir: string,
  flags: EvaluateFlags,
  program: CliContext,
): Promise<number> {
  const clock = systemClock(globalThis);
  const report = createReporter(process.stdout, clock, 'text');
  const interrupt = handleInterrupts(report, 'Stopping.');
  const { signal } = interrupt;
  try {
    const { job, weights } = await loadModel(modelDir);
    const dataset = await openDataset({ ...flags, seed: job.seed }, report, signal);
    report.info(`${dataset.description.replace(/\.$/, '')}: ${dataset.test.count} test samples`);
    for (const line of describeTransposition(dataset)) report.warn(line);
    checkDataFits(job, dataset);
    const local = {
      workers: await resolveWorkerCount(flags, program, { note: (line) => report.info(line), signal }),
      host: '127.0.0.1',
      port: 0,
      job,
      program,
      clock,
      report,
      interrupt,
      onOpen: () => undefined,
      trustsWorkers: true,
    };
    const score = await withCoordinator({ ...flags, ...local }, ({ stepRunner }) =>
      rejectOnAbort(
        stepRunner.evaluate({ step: 0 as Step, weights, split: dataset.test }, (done, total) =>
          report.progress(EVALUATING, done, total),
        ),
        signal,
      ),
    );
    report.info(`Test loss: ${formatMetric(score.lossSum / dataset.test.count)}`);
    report.info(`Test accuracy: ${formatMetric(score.correct / dataset.test.count)}`);
    return 0;
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted) return EXIT_INTERRUPTED;
    throw error;
  } finally {
    report.close();
    interrupt.dispose();
  }
}

/** There is nothing to be finished first, and nothing to be saved. @throws Interrupted */
function rejectOnAbort<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Interrupted());
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    work.then(resolve, reject);
  });
}

function checkDataFits({ data }: Job, { name, sampleShape, classes }: Dataset): void {
  const trained = `${data.sampleShape.join(' x ')}, ${data.classes} classes`;
  const given = `${sampleShape.join(' x ')}, ${classes} classes`;
  if (trained !== given) {
    throw new Error(
      `The model was trained on ${data.name} (${trained}), but ${name} is ${given}. Use other --data.`,
    );
  }
}
