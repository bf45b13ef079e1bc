import type { Command } from 'commander';
import type { EvaluateFlags } from './run-evaluate.ts';
import type { CliEnvironment } from './main.ts';
import { countOrAuto, dataOption, engineOption, transposeOption } from './options.ts';

/** `gradcast evaluate`: loss and accuracy of a saved model. */
export function addEvaluate(cli: Command, load: CliEnvironment['load']): void {
  cli
    .command('evaluate')
    .summary('loss and accuracy of a trained model')
    .description('Loss and accuracy of a trained model on the test samples of a data set.')
    .argument('<model-dir>', 'folder of a run, or model/ in it')
    .addOption(dataOption())
    .addOption(transposeOption())
    .option('--workers <n>', 'worker processes here: auto is what is fastest', countOrAuto, 'auto')
    .addOption(engineOption('what local workers compute with'))
    .addHelpText('after', '\nExample:\n  gradcast evaluate runs/2026-01-31-k3v9qd --data mnist/')
    .action(async (modelDir: string, flags: EvaluateFlags) => {
      const commands = await load();
      process.exitCode = await commands.evaluate(modelDir, flags);
    });
}
