import { Option, type Command } from 'commander';
import type { PredictFlags } from '../coordinator/commands/predict-model.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { systemClock } from '../shared/util/clock.ts';
import type { CliContext } from './context.ts';
import { listenForInterrupts } from './interrupt.ts';
import { decimal, engineOption, integer, trustOption } from './options.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

interface PredictCommandFlags extends PredictFlags {
  readonly engine: EngineChoice;
}

const EXAMPLES = `
Examples:
  gradcast predict runs/2026-01-31-k3v9qd docs/images/seven.png
  gradcast predict runs/pets photos/ --out predictions.csv
  gradcast predict runs/iris flowers.csv --json
  gradcast predict runs/digits x_test.npy --out probabilities.npy
  gradcast predict runs/reviews --text "a film to remember"
  gradcast predict runs/shakespeare --text "ROMEO:" --tokens 300 --temperature 0.8

New data is treated as the training data was: images are cut and scaled to the size of the samples, columns are found
by their names, numbers are standardized by the training data. A model of MNIST's digits crops, scales and centers an
image of another size as MNIST does.`;

/** `gradcast predict`: predictions of a saved model for new data. */
export function addPredict(cli: Command, context: CliContext): void {
  cli
    .command('predict')
    .summary('predict images, rows, arrays or text with a trained model')
    .description('Predict images, rows of tables, arrays or text with a trained model.')
    .argument('<model-dir>', 'folder of a run, or its model/')
    .argument('[input...]', 'images, folders of images, CSV, TSV, Parquet, .npy, .npz, IDX or .txt files')
    .addOption(
      new Option(
        '--text <text>',
        'text to classify, or to continue by a model of next tokens; may be repeated',
      ).argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]),
    )
    .addOption(
      new Option('--tokens <n>', 'tokens that a model of next tokens generates (default: 200)').argParser(
        integer(1, 100_000),
      ),
    )
    .addOption(
      new Option(
        '--temperature <t>',
        'of generated text: below 1 likely tokens become likelier, 0 takes the likeliest (default: 1)',
      ).argParser(decimal('zero')),
    )
    .addOption(
      new Option('--seed <n>', 'seed of generated text (default: 1337)').argParser(integer(0, 2 ** 32 - 1)),
    )
    .addOption(
      new Option('--out <file>', 'write the predictions to a .csv file, or the values to a .npy file').env(
        'GRADCAST_PREDICT_OUT',
      ),
    )
    .option('--json', 'print an object for each sample')
    .addOption(engineOption('engine that computes'))
    .addOption(trustOption('the model'))
    .addHelpText('after', EXAMPLES)
    .action(async (modelDir: string, inputs: readonly string[], flags: PredictCommandFlags) => {
      await context.prepare();
      process.exitCode = await runPredict(modelDir, inputs, flags, context);
    });
}

/** @returns the exit code */
async function runPredict(
  modelDir: string,
  inputs: readonly string[],
  flags: PredictCommandFlags,
  context: CliContext,
): Promise<number> {
  const [{ predictModel }, { createReporter }] = await Promise.all([
    import('../coordinator/commands/predict-model.ts'),
    import('../coordinator/report/create-reporter.ts'),
  ]);
  // Standard output has predictions only, so that other programs can read them.
  const report = createReporter(process.stderr, systemClock(globalThis), 'text');
  const interrupt = listenForInterrupts({ forceExitOn: ['SIGINT'], onForceExit: () => report.close() });
  try {
    const isDone = await predictModel(modelDir, inputs, flags, {
      openEngine: () => context.openEngine(flags.engine),
      write: (line) => process.stdout.write(`${line}\n`),
      report,
      signal: interrupt.signal,
      showsProgress: !process.stdout.isTTY,
    });
    return isDone ? 0 : ExitCode.interrupted;
  } finally {
    report.close();
    interrupt.dispose();
  }
}
