import type { CodeBundle } from '../../shared/model/custom-code.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { GradientComputer } from '../../shared/engine/engine.ts';
import { parsePreprocessing } from '../../shared/data/preprocessing.ts';
import { readAllText } from '../data/load-text.ts';
import { plainFile } from '../data/data-file.ts';
import { hasImageName } from '../data/images/image-type.ts';
import type { CoordinatorEngine } from '../integrity/reference-engine.ts';
import { generateText, nextTokenPreprocessing } from '../predict/generate-text.ts';
import { describePlace, otherKindError, type PredictingModel, type SampleSource } from '../predict/inputs.ts';
import { openInputs } from '../predict/open-inputs.ts';
import {
  describePrediction,
  outputReaders,
  predictionsByOutput,
  readPredictions,
  type OutputReader,
  type Prediction,
} from '../predict/output-reader.ts';
import { predictBatches, withComputer, type PredictedBatch } from '../predict/predict-batches.ts';
import { checkPredictionFile, openPredictionFile } from '../predict/write-predictions.ts';
import { pluralize, type Reporter } from '../report/reporter.ts';
import { loadCustomCode, loadModel } from '../run/model-folder.ts';

export interface PredictFlags {
  /** Hashes of custom code that may be run. @default none */
  readonly trust?: readonly string[];
  /** Texts of the command line. */
  readonly text?: readonly string[] | undefined;
  /** Number of tokens that a model of next tokens generates. @default 200 */
  readonly tokens?: number | undefined;
  /** @default 1 */
  readonly temperature?: number | undefined;
  /** Seed of generated text. @default 1337 */
  readonly seed?: number | undefined;
  /** File for the predictions. @default they are printed */
  readonly out?: string | undefined;
  /** Whether predictions are printed as JSON, one object a line. @default false */
  readonly json?: boolean | undefined;
}

export interface PredictOptions {
  /** Opens the engine that computes. */
  readonly openEngine: () => Promise<CoordinatorEngine>;
  /** Receives the lines of predictions. */
  readonly write: (line: string) => void;
  readonly report: Reporter;
  readonly signal: AbortSignal;
  /** Whether progress is shown: predictions that are printed to a terminal are progress enough. */
  readonly showsProgress: boolean;
}

const DEFAULT_TOKENS = 200;
const DEFAULT_SEED = 1337;
const PREDICTING = 'Predicting';

/**
 * Predicts images, rows of tables, arrays or texts with a saved model, treated as in training, and prints or writes the predictions.
 * @param paths files and folders of images
 * @returns whether all was predicted; false if the signal was aborted before
 * @throws Error with a sentence that names the file, and what was expected
 */
export async function predictModel(
  modelDir: string,
  paths: readonly string[],
  flags: PredictFlags,
  options: PredictOptions,
): Promise<boolean> {
  const { job, weights, metadata } = await loadModel(modelDir);
  const customCode = await loadCustomCode(modelDir, job, flags.trust ?? []);
  const { classNames, epochs } = metadata;
  const preprocessing = parsePreprocessing(metadata.preprocessing);
  const model = { job, weights, customCode, epochs, metadata: { preprocessing, classNames } };
  if (paths.length === 0 && (flags.text ?? []).length === 0)
    throw new Error('There is nothing to predict. Name files or folders of images, or give --text "...".');
  if (nextTokenPreprocessing(model) !== null) return continueTexts(model, paths, flags, options);
  for (const flag of ['tokens', 'temperature', 'seed'] as const) {
    if (flags[flag] !== undefined)
      throw new Error(
        `--${flag} is for models that predict the next token of a text; ${modelDir} is none. Leave it out.`,
      );
  }
  const readers = outputReaders(model.job, model.metadata);
  if (flags.out !== undefined) checkPredictionFile(flags.out, readers);
  const source = await openInputs(paths, flags.text ?? [], model, options.report);
  return withComputer(model, options.openEngine, (computer) =>
    predictAll(modelDir, model, { source, readers, computer }, flags, options),
  );
}

interface ModelToPredict extends PredictingModel {
  readonly weights: Float32Array;
  readonly customCode: CodeBundle | undefined;
  readonly epochs: number;
}

interface Parts {
  readonly source: SampleSource;
  readonly readers: readonly OutputReader[];
  readonly computer: GradientComputer;
}

async function predictAll(
  modelDir: string,
  { job, epochs }: ModelToPredict,
  { source, readers, computer }: Parts,
  { out, json = false }: PredictFlags,
  { write, report, signal, showsProgress }: PredictOptions,
): Promise<boolean> {
  const file = out === undefined ? null : await openPredictionFile(out, source, readers);
  try {
    if (!json && file === null) write(describeModel(modelDir, job.data.name, epochs));
    const hasProgress = showsProgress || file !== null;
    for await (const batch of predictBatches(computer, job, source)) {
      if (signal.aborted) return false;
      if (file === null) printBatch(batch, source, readers, json, write);
      else await file.write(batch);
      if (hasProgress) report.progress(PREDICTING, batch.from + batch.samples, source.count);
    }
    await file?.complete();
  } finally {
    await file?.abandon();
  }
  if (out !== undefined)
    report.info(`${pluralize(source.count, 'prediction')} written to ${sanitizeForTerminal(out)}.`);
  return true;
}

const describeModel = (modelDir: string, data: string, epochs: number): string =>
  `${modelDir}: trained on ${data}, ${pluralize(epochs, 'epoch')}`;

/** Prints a line for each sample, or one for each output of it. */
function printBatch(
  { from, samples, outputs }: PredictedBatch,
  source: SampleSource,
  readers: readonly OutputReader[],
  json: boolean,
  write: (line: string) => void,
): void {
  for (let i = 0; i < samples; i++) {
    const place = source.place(from + i);
    const predictions = readPredictions(readers, outputs, i);
    if (json) {
      write(JSON.stringify({ ...place, outputs: predictionsByOutput(readers, predictions) }));
      continue;
    }
    const lines = readers.map((reader, output) =>
      describePrediction(reader, predictions[output] as Prediction),
    );
    if (lines.length === 1) write(`${describePlace(place)}: ${lines[0] ?? ''}`);
    else {
      write(`${describePlace(place)}:`);
      for (const [output, { name }] of readers.entries()) write(`  ${name}: ${lines[output] ?? ''}`);
    }
  }
}

/** Generates text after prompts of the command line and of files. */
async function continueTexts(
  model: ModelToPredict,
  paths: readonly string[],
  flags: PredictFlags,
  { report, write, signal, openEngine }: PredictOptions,
): Promise<boolean> {
  const { tokens = DEFAULT_TOKENS, temperature = 1, seed = DEFAULT_SEED, json = false } = flags;
  if (flags.out !== undefined)
    throw new Error(
      '--out is for predictions of classes and values; generated text is printed. Leave it out.',
    );
  const picture = paths.find((path) => hasImageName(path));
  if (picture !== undefined) throw otherKindError(`${sanitizeForTerminal(picture)} is an image`, model);
  const files = await Promise.all(paths.map((path) => readAllText([plainFile(path, path, 0)])));
  const prompts = [...(flags.text ?? []), ...files.map((text) => text.replace(/\n$/, ''))];
  return withComputer(model, openEngine, async (computer) => {
    for (const prompt of prompts) {
      const progress = (done: number): void => report.progress('Generating', done, tokens);
      const generated = await generateText(computer, model, {
        prompt,
        tokens,
        temperature,
        seed,
        progress,
        signal,
      });
      if (signal.aborted) return false;
      const { text, unknown } = generated;
      if (unknown > 0)
        report.warn(
          `The prompt has ${pluralize(unknown, 'token')} that the training text lacks; the model reads them as unknown.`,
        );
      if (json) write(JSON.stringify({ prompt, text, tokens, temperature, seed }));
      else write(`${prompt}${text}`);
    }
    return true;
  });
}
