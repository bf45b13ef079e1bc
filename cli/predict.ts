import type { Command } from 'commander';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { CliContext } from './context.ts';
import { engineOption } from './options.ts';

/** `gradcast predict`: classifies images with a saved model. */
export function addPredict(cli: Command, context: CliContext): void {
  cli
    .command('predict')
    .summary('classify images with a trained model')
    .description(
      'Classify images with a trained model. Images become samples as those did that the model was trained on; for a model of digits, they are cropped, scaled and centered.',
    )
    .argument('<model-dir>', 'folder of a run, or its model/')
    .argument('<image...>', 'image files: PNG; JPEG, WebP and others for a model of folders of images')
    .addOption(engineOption('engine that computes'))
    .addHelpText('after', '\nExample:\n  gradcast predict runs/2026-01-31-k3v9qd docs/images/seven.png')
    .action(async (modelDir: string, files: string[], flags: { readonly engine: EngineChoice }) => {
      await context.prepare();
      const { predict } = await import('../worker-node/predict/predict.ts');
      const { decodeImageFile } = await import('../coordinator/data/image-source.ts');
      await predict(
        modelDir,
        files,
        flags.engine,
        (line) => process.stdout.write(`${line}\n`),
        decodeImageFile,
      );
    });
}
