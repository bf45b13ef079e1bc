import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parsePreprocessing, type ImagePreprocessing } from '../../shared/data/preprocessing.ts';
import { classProbabilities } from '../../shared/model/class-probabilities.ts';
import { describeShapes } from '../../shared/model/tensors.ts';
import type { Job } from '../../shared/model/job.ts';
import { readModel } from '../../shared/model/saved-model.ts';
import { chooseEngine } from '../engine/choose-engine.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { sampleFromPicture, type Picture } from './sample-from-image.ts';
import { PNG } from 'pngjs';

const TOP_CLASSES = 3;
/** Values of an output that are printed. */
const MAX_VALUES = 10;

/**
 * Predicts the classes or values of pictures with a trained model and writes a line for each.
 * @param write receives the lines
 * @param decodeFile decodes a picture as those were that the model was trained on, if these were files of images
 * @throws Error with a sentence that names the folder or file
 */
export async function predict(
  modelDir: string,
  files: readonly string[],
  choice: EngineChoice,
  write: (line: string) => void,
  decodeFile: (file: string, preprocessing: ImagePreprocessing) => Promise<Uint8Array>,
): Promise<void> {
  const { job, metadata, weights } = await readModel(modelDir, {
    text: (file) => readFile(join(modelDir, file), 'utf8'),
    bytes: (file) => readFile(join(modelDir, file)),
  });
  const shape = pictureShape(job, modelDir);
  const preprocessing = parsePreprocessing(metadata.preprocessing);
  const samples = await Promise.all(
    files.map(async (file) =>
      preprocessing?.kind === 'image'
        ? decodeFile(file, preprocessing)
        : sampleFromPicture(await readPicture(file), shape),
    ),
  );
  const { engine } = await chooseEngine(choice);
  const computer = await engine.load(job);
  computer.setWeights(weights);
  write(
    `${modelDir}: trained on ${job.data.name}, ${metadata.epochs} epoch${metadata.epochs === 1 ? '' : 's'}`,
  );
  for (const [i, file] of files.entries()) {
    const values = await computer.predict([samples[i] ?? new Uint8Array(0)], 1);
    write(`${file}: ${describePrediction(job, values, metadata.classNames)}`);
  }
  computer.dispose();
}

/**
 * The likely classes, or the values of an output that is no class.
 * @param values of the first output for one picture
 * @param classNames names of the classes @default their numbers
 */
export function describePrediction(
  job: Pick<Job, 'outputs' | 'targets'>,
  values: ArrayLike<number>,
  classNames?: readonly string[],
): string {
  const probabilities = classProbabilities(job, values);
  if (probabilities === null) {
    const shown = Array.from(values, (value) => value.toPrecision(4));
    return `${shown.slice(0, MAX_VALUES).join(', ')}${shown.length > MAX_VALUES ? ', ...' : ''}`;
  }
  const ranked = [...probabilities.entries()].sort(([, a], [, b]) => b - a).slice(0, TOP_CLASSES);
  const [best, ...others] = ranked.map(
    ([label, p]) => `${classNames?.[label] ?? label} (${(100 * p).toFixed(1)}%)`,
  );
  return `${best ?? ''}   then ${others.join(', ')}`;
}

/** @throws Error with a sentence if the model takes no pictures */
function pictureShape({ inputs }: Job, modelDir: string): readonly number[] {
  const [input, ...others] = inputs;
  if (input?.dtype === 'uint8' && input.shape.length === 3 && others.length === 0) return input.shape;
  throw new Error(`The model in ${modelDir} takes ${describeShapes(inputs)}, not pictures.`);
}

/** A decoded picture with more pixels could fill the memory. */
const MAX_PIXELS = 64 << 20;
const HEADER_BYTES = 24;

/** @throws Error with a sentence that names the file */
export async function readPicture(file: string): Promise<Picture> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new Error(`${file}: ${missing ? 'the file does not exist' : String(error)}.`, { cause: error });
  }
  const isPng = bytes.length >= HEADER_BYTES && bytes.readUInt32BE(0) === 0x89504e47;
  if (!isPng) throw new Error(`${file} is not a PNG picture. Save it as PNG.`);
  if (bytes.readUInt32BE(16) * bytes.readUInt32BE(20) > MAX_PIXELS) {
    throw new Error(
      `${file} is ${bytes.readUInt32BE(16)} x ${bytes.readUInt32BE(20)} pixels. Make it smaller.`,
    );
  }
  try {
    const { width, height, data } = PNG.sync.read(bytes);
    return { width, height, rgba: data };
  } catch (error) {
    throw new Error(`${file} is a damaged PNG (${String(error)}). Save it again.`, { cause: error });
  }
}
