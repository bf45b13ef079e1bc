import type { Command } from 'commander';
import type { ExportModelFlags } from '../coordinator/commands/export-model.ts';
import type { CliContext } from './context.ts';

/** `gradcast export`: writes a trained model in another format. */
export function addExport(cli: Command, context: CliContext): void {
  cli
    .command('export')
    .summary('write a trained model for Keras')
    .description(
      'Write a trained model as a .keras file, which Keras 3 loads. Nothing in the run is changed.',
    )
    .argument('<model-dir>', 'folder of a run, or its model/')
    .option('--keras <file>', '.keras file to write; an existing one is replaced')
    .addHelpText(
      'after',
      `
Examples:
  gradcast export runs/2026-01-31-k3v9qd --keras model.keras
  python -c "import keras; keras.saving.load_model('model.keras').summary()"`,
    )
    .action(async (modelDir: string, flags: ExportModelFlags) => {
      await context.prepare();
      const { exportModel } = await import('../coordinator/commands/export-model.ts');
      await exportModel(modelDir, flags, { info: (line) => process.stdout.write(`${line}\n`) });
    });
}
