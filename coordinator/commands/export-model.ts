import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../files/write-file.ts';
import { readModelFile } from '../model-file/model-file.ts';
import { kerasArchive } from '../model-file/save-keras.ts';
import type { Reporter } from '../report/reporter.ts';
import { loadModel } from '../run/model-folder.ts';

export interface ExportModelFlags {
  /** The .keras file to write. */
  readonly keras?: string;
}

/**
 * Writes the trained model of a run as a .keras file.
 * @param modelDir folder of a run, or its model/
 * @throws Error with a sentence if the model cannot be read, or Keras 3 cannot express it
 */
export async function exportModel(
  modelDir: string,
  { keras: file }: ExportModelFlags,
  report: Pick<Reporter, 'info'>,
): Promise<void> {
  if (file === undefined) throw new Error('Name the file to write: --keras model.keras');
  if (!file.endsWith('.keras')) {
    throw new Error(`${file} does not end in .keras, so Keras would not load it. Use another name.`);
  }
  const { job, metadata } = await loadModel(modelDir);
  const inside = join(modelDir, 'model/model.json');
  const { weights } = await readModelFile(existsSync(inside) ? inside : join(modelDir, 'model.json'));
  await writeFileAtomic(file, await kerasArchive(job, weights ?? new Map(), new Date()));
  const epochs = metadata.epochs === 1 ? '1 epoch' : `${metadata.epochs} epochs`;
  report.info(`Wrote ${file}: the model after ${epochs}, for keras.saving.load_model('${file}') in Python.`);
  report.info(
    (job.inputs[0]?.scale ?? 1) === 1
      ? 'It takes pixels from 0 to 255.'
      : 'It takes pixels divided by 255, as float32.',
  );
}
