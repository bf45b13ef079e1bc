import type { Command } from 'commander';
import type { DataFlags } from '../coordinator/data/load-dataset.ts';
import { systemClock } from '../shared/util/clock.ts';
import { usesColor } from '../shared/util/terminal.ts';
import type { CliContext } from './context.ts';
import { imageOptions } from './image-options.ts';
import { interruptWithNotice } from './interrupt.ts';
import { integer, tableOptions, transposeOption } from './options.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

const DEFAULT_SEED = 1337;
const DEFAULT_COLUMNS = 80;

type InspectFlags = Omit<DataFlags, 'data' | 'seed'> & { readonly seed: number };

/** `gradcast data`: commands about data sets. */
export function addData(cli: Command, context: CliContext): void {
  const data = cli
    .command('data')
    .summary('look at a data set')
    .description('Look at a data set without training.');
  const inspect = data
    .command('inspect')
    .summary('show how a data set is understood, and what may go wrong')
    .description(
      'Show how a data set is understood: parts, shapes, classes with their samples, ranges, some samples; and what would mislead a training.',
    )
    .argument('[source]', 'file, folder, archive, or a name such as fashion-mnist (default: MNIST)')
    .addOption(transposeOption())
    .option('--seed <n>', 'chooses the samples to validate on', integer(0, 2 ** 32 - 1), DEFAULT_SEED)
    .addHelpText(
      'after',
      `
Examples:
  gradcast data inspect photos/                 folders of images, one a class
  gradcast data inspect iris.csv --target species
  gradcast data inspect fashion-mnist           a public data set, by its name
  gradcast data inspect gzip.zip/gzip/emnist-letters --transpose`,
    )
    .action(async (source: string | undefined, flags: InspectFlags) => {
      await context.prepare();
      process.exitCode = await runInspect({ ...flags, data: source });
    });
  for (const option of [...tableOptions(), ...imageOptions()]) inspect.addOption(option);
}

/** @returns the exit code */
async function runInspect(flags: DataFlags): Promise<number> {
  const [{ openDataset }, { describeDataset }, { createReporter }] = await Promise.all([
    import('../coordinator/data/load-dataset.ts'),
    import('../coordinator/data/describe-dataset.ts'),
    import('../coordinator/report/create-reporter.ts'),
  ]);
  const report = createReporter(process.stdout, systemClock(globalThis), 'text');
  const interrupt = interruptWithNotice(report, () => 'Stopping.');
  const { signal } = interrupt;
  try {
    const dataset = await openDataset(flags, report, signal);
    const lines = await describeDataset(dataset, {
      inColor: usesColor(process.stdout, process.env),
      columns: process.stdout.isTTY ? process.stdout.columns : DEFAULT_COLUMNS,
    });
    report.close();
    for (const line of lines) process.stdout.write(`${line}\n`);
    return 0;
  } catch (error) {
    if (signal.aborted) return ExitCode.interrupted;
    throw error;
  } finally {
    report.close();
    interrupt.dispose();
  }
}
