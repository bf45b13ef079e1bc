import { Option, type Command } from 'commander';
import type { EvaluateModelFlags } from '../coordinator/commands/evaluate-model.ts';
import { systemClock } from '../shared/util/clock.ts';
import { resolveWorkerCount, type CliContext } from './context.ts';
import { imageOptions } from './image-options.ts';
import { interruptWithNotice } from './interrupt.ts';
import {
  dataOption,
  engineOption,
  localWorkersOption,
  threadsOption,
  tableOptions,
  transposeOption,
  trustOption,
} from './options.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

interface EvaluateFlags extends EvaluateModelFlags {
  readonly workers: number | 'auto';
  readonly threads?: number;
}

const EXAMPLES = `
Examples:
  gradcast evaluate runs/2026-01-31-k3v9qd                  the data of the run, read as it was
  gradcast evaluate runs/iris --data new-flowers.csv        all rows of other data
  gradcast evaluate runs/pets --csv confusion.csv --json figures.json`;

/** `gradcast evaluate`: loss and accuracy of a saved model. */
export function addEvaluate(cli: Command, context: CliContext): void {
  const command = cli
    .command('evaluate')
    .summary('loss, metrics and confusion matrix of a trained model')
    .description(
      'Loss and metrics of a trained model on test samples; for classes also a confusion matrix, precision, recall and F1, for numbers MAE, RMSE, R2 and the largest errors.',
    )
    .argument('<model-dir>', 'folder of a run, or its model/')
    .addOption(dataOption())
    .addOption(transposeOption())
    .option('--no-transpose', 'leave the images as they are, although those of the run were transposed')
    .addOption(localWorkersOption())
    .addOption(threadsOption())
    .addOption(engineOption('engine of the local workers'))
    .addOption(trustOption('the model'))
    .addOption(
      new Option('--json <file>', 'write all figures, with the confusion matrix, to a file').env(
        'GRADCAST_EVALUATE_JSON',
      ),
    )
    .option('--csv <file>', 'write the confusion matrix to a file')
    .addHelpText('after', EXAMPLES)
    .action(async (modelDir: string, flags: EvaluateFlags) => {
      await context.prepare();
      process.exitCode = await runEvaluate(modelDir, flags, context);
    });
  for (const option of tableOptions()) command.addOption(option);
  for (const option of imageOptions()) command.addOption(option);
}

/** @returns the exit code */
async function runEvaluate(modelDir: string, flags: EvaluateFlags, context: CliContext): Promise<number> {
  const [{ evaluateModel }, { createReporter }, { formatMetric }, { describeReports }] = await Promise.all([
    import('../coordinator/commands/evaluate-model.ts'),
    import('../coordinator/report/create-reporter.ts'),
    import('../coordinator/report/reporter.ts'),
    import('../coordinator/predict/measure-outputs.ts'),
  ]);
  const clock = systemClock(globalThis);
  const report = createReporter(process.stdout, clock, 'text');
  const interrupt = interruptWithNotice(report, () => 'Stopping.');
  const { signal } = interrupt;
  const note = (line: string): void => report.info(line);
  try {
    const scores = await evaluateModel(modelDir, flags, {
      program: context,
      clock,
      report,
      signal,
      openEngine: () => context.openEngine(flags.engine),
      chooseWorkerCount: () => resolveWorkerCount({ ...flags, isBrief: true, note, signal }, context),
    });
    if (scores === null) return ExitCode.interrupted;
    report.info(`Test loss: ${formatMetric(scores.loss)}`);
    for (const [name, value] of Object.entries(scores.metrics))
      report.info(`Test ${name}: ${formatMetric(value)}`);
    for (const line of describeReports(scores.reports)) report.info(line);
    return 0;
  } finally {
    report.close();
    interrupt.dispose();
  }
}
