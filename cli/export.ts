import { Option, type Command } from 'commander';
import type { ExportModelFlags } from '../coordinator/commands/export-model.ts';
import { EXPORT_FORMATS } from '../coordinator/export/formats.ts';
import type { CliContext } from './context.ts';

/** `gradcast export`: writes a trained model in another format. */
export function addExport(cli: Command, context: CliContext): void {
  cli
    .command('export')
    .summary('write a trained model for Keras, ONNX, TensorFlow or as safetensors')
    .description(
      'Write a trained model for other programs: docs/exports.md says how each file is opened. The model of the run is not changed.',
    )
    .argument('<model-dir>', 'folder of a run, or its model/')
    .addOption(
      new Option('--format <format>', 'format of the file (default: by the name of --out)')
        .env('GRADCAST_EXPORT_FORMAT')
        .choices(EXPORT_FORMATS),
    )
    .addOption(
      new Option(
        '--out <file>',
        'file to write, for savedmodel a folder; an existing file is replaced (default: a file in <model-dir>)',
      ).env('GRADCAST_EXPORT_OUT'),
    )
    .addOption(
      new Option('--keras <file>', '.keras file to write: short for --format keras --out <file>').conflicts([
        'format',
        'out',
      ]),
    )
    .addHelpText(
      'after',
      `
Examples:
  gradcast export runs/2026-01-31-k3v9qd --out model.onnx
  gradcast export runs/2026-01-31-k3v9qd --format savedmodel --out served/1
  gradcast export runs/2026-01-31-k3v9qd --keras model.keras
  python -c "import keras; keras.saving.load_model('model.keras').summary()"`,
    )
    .action(async (modelDir: string, flags: ExportModelFlags) => {
      await context.prepare();
      const { exportModel } = await import('../coordinator/commands/export-model.ts');
      await exportModel(modelDir, flags, { info: (line) => process.stdout.write(`${line}\n`) });
    });
}
