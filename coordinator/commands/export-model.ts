import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../files/write-file.ts';
import type { Job } from '../../shared/model/job.ts';
import { readModelFile } from '../model-file/model-file.ts';
import { kerasArchive } from '../model-file/save-keras.ts';
import type { NamedWeights } from '../model-file/weights-file.ts';
import { compileConfigOf } from '../model/compile-export.ts';
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
  const named: NamedWeights = weights ?? new Map();
  const compiled = compileConfigOf(job, [...named.keys()]);
  await writeFileAtomic(file, await kerasArchive(job, named, new Date(), compiled));
  const epochs = metadata.epochs === 1 ? '1 epoch' : `${metadata.epochs} epochs`;
  report.info(`Wrote ${file}: the model after ${epochs}, for keras.saving.load_model('${file}') in Python.`);
  report.info(
    (job.inputs[0]?.scale ?? 1) === 1
      ? 'It takes pixels from 0 to 255.'
      : 'It takes pixels divided by 255, as float32.',
  );
  const missing = describeMissing(job);
  report.info(
    `It is compiled with the optimizer, loss and metrics of the run, and fit() starts the optimizer anew${missing === null ? '' : `, without ${missing}`}.`,
  );
}

/** Settings that Keras does not keep in a model, or the file does not have; null if there are none. */
function describeMissing({ optimizer }: Job): string | null {
  const { noDecay = [], schedule } = optimizer;
  const parts = [
    noDecay.length > 0 ? 'the tensors that have no weight decay (exclude_from_weight_decay)' : null,
    schedule?.name === 'plateau' ? 'the plateau schedule (ReduceLROnPlateau)' : null,
  ].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join(' and ');
}
