import type { Command } from 'commander';
import type { EvaluateModelFlags } from '../coordinator/commands/evaluate-model.ts';
import { systemClock } from '../shared/util/clock.ts';
import { resolveWorkerCount, type CliContext } from './context.ts';
import { imageOptions } from './image-options.ts';
import { EXIT_INTERRUPTED, interruptWithNotice } from './interrupt.ts';
import { dataOption, engineOption, localWorkersOption, tableOptions, transposeOption } from './options.ts';

interface EvaluateFlags extends EvaluateModelFlags {
  readonly workers: number | 'auto';
}

/** `gradcast evaluate`: loss and accuracy of a saved model. */
export function addEvaluate(cli: Command, context: CliContext): void {
  const command = cli
    .command('evaluate')
    .summary('loss and accuracy of a trained model')
    .description('Loss and accuracy of a trained model on the test samples of a data set.')
    .argument('<model-dir>', 'folder of a run, or its model/')
    .addOption(dataOption())
    .addOption(transposeOption())
    .addOption(localWorkersOption())
    .addOption(engineOption('engine of the local workers'))
    .addHelpText('after', '\nExample:\n  gradcast evaluate runs/2026-01-31-k3v9qd --data mnist/')
    .action(async (modelDir: string, flags: EvaluateFlags) => {
      await context.prepare();
      process.exitCode = await runEvaluate(modelDir, flags, context);
    });
  for (const option of tableOptions()) command.addOption(option);
  for (const option of imageOptions()) command.addOption(option);
}

/** @returns the exit code */
async function runEvaluate(modelDir: string, flags: EvaluateFlags, context: CliContext): Promise<number> {
  const [{ evaluateModel }, { createReporter }, { formatMetric }] = await Promise.all([
    import('../coordinator/commands/evaluate-model.ts'),
    import('../coordinator/report/create-reporter.ts'),
    import('../coordinator/report/reporter.ts'),
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
      chooseWorkerCount: () => resolveWorkerCount({ ...flags, note, signal }, context),
    });
    if (scores === null) return EXIT_INTERRUPTED;
    report.info(`Test loss: ${formatMetric(scores.loss)}`);
    for (const [name, value] of Object.entries(scores.metrics))
      report.info(`Test ${name}: ${formatMetric(value)}`);
    return 0;
  } finally {
    report.close();
    interrupt.dispose();
  }
}
