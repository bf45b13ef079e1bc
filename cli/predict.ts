import type { Command } from 'commander';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { CliContext } from './context.ts';
import { engineOption, trustOption } from './options.ts';

interface PredictFlags {
  readonly engine: EngineChoice;
  readonly trust?: readonly string[];
}

/** `gradcast predict`: classifies images with a saved model. */
export function addPredict(cli: Command, context: CliContext): void {
  cli
    .command('predict')
    .summary('classify images with a trained model')
    .description(
      'Classify images with a trained model. Images of another size than the model takes are cropped, scaled and centered.',
    )
    .argument('<model-dir>', 'folder of a run, or its model/')
    .argument('<image...>', 'PNG files')
    .addOption(engineOption('engine that computes'))
    .addOption(trustOption('the model'))
    .addHelpText('after', '\nExample:\n  gradcast predict runs/2026-01-31-k3v9qd docs/images/seven.png')
    .action(async (modelDir: string, files: string[], flags: PredictFlags) => {
      await context.prepare();
      const { predict } = await import('../worker-node/predict/predict.ts');
      await predict(modelDir, files, flags, (line) => process.stdout.write(`${line}\n`));
    });
}
