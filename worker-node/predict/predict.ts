import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readModel } from '../../shared/model/saved-model.ts';
import { chooseEngine } from '../engine/choose.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { readPicture } from './read-picture.ts';
import { sampleFromPicture } from './sample-from-image.ts';

const TOP_CLASSES = 3;

/**
 * What a trained model makes of pictures; a line each.
 * @param write receives the lines
 * @throws Error with a sentence that names the folder or file
 */
export async function predict(
  modelDir: string,
  files: readonly string[],
  choice: EngineChoice,
  write: (line: string) => void,
): Promise<void> {
  const { job, metadata, weights } = await readModel(modelDir, {
    text: (file) => readFile(join(modelDir, file), 'utf8'),
    bytes: (file) => readFile(join(modelDir, file)),
  });
  const samples = await Promise.all(
    files.map(async (file) => sampleFromPicture(await readPicture(file), job.data.sampleShape)),
  );
  const { engine } = await chooseEngine(choice);
  const trainer = await engine.load(job);
  trainer.setWeights(weights);
  write(
    `${modelDir}: trained on ${job.data.name}, ${metadata.epochs} epoch${metadata.epochs === 1 ? '' : 's'}`,
  );
  for (const [i, file] of files.entries()) {
    const probabilities = await trainer.predict(samples[i] ?? new Uint8Array(0), 1);
    const ranked = [...probabilities.entries()].sort(([, a], [, b]) => b - a).slice(0, TOP_CLASSES);
    const [best, ...others] = ranked.map(([label, p]) => `${label} (${(100 * p).toFixed(1)}%)`);
    write(`${file}: ${best ?? ''}   then ${others.join(', ')}`);
  }
  trainer.dispose();
}
