import type { Command } from 'commander';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { CliEnvironment } from './main.ts';
import { engineOption } from './options.ts';

/** `gradcast predict`: classifies images with a saved model. */
export function addPredict(cli: Command, load: CliEnvironment['load']): void {
  cli
    .command('predict')
    .summary('classify images with a trained model')
    .description(
      "Classify images with a trained model. Other sizes than the model's are cut, scaled and centred.",
    )
    .argument('<model-dir>', 'folder of a run, or model/ in it')
    .argument('<image...>', 'PNG files')
    .addOption(engineOption('what computes'))
    .addHelpText('after', '\nExample:\n  gradcast predict runs/2026-01-31-k3v9qd docs/images/seven.png')
    .action(async (modelDir: string, files: string[], flags: { readonly engine: EngineChoice }) => {
      const commands = await load();
      await commands.predict(modelDir, files, flags.engine);
    });
}
