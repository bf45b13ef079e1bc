import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parsePreprocessing } from '../../shared/data/preprocessing.ts';
import type { Job } from '../../shared/model/job.ts';
import { customTerms } from '../../shared/model/outputs.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { chooseTarget, runTarget, type ExportFormat, type ExportTarget } from '../export/formats.ts';
import { describeInput, openingLine, type ExportedModel } from '../export/describe-model.ts';
import { checkExport, writeModelFile } from '../export/write-model.ts';
import { readModelFile } from '../model-file/model-file.ts';
import { nameWeights } from '../model-file/weights-file.ts';
import type { Reporter } from '../report/reporter.ts';
import { loadModel } from '../run/model-folder.ts';

export interface ExportModelFlags {
  /** The .keras file to write; the same as `out` with the format keras. */
  readonly keras?: string;
  /** One of EXPORT_FORMATS. @default by the name of `out` */
  readonly format?: string;
  /** File, or folder of a SavedModel, to write. @default a file in the folder of the run */
  readonly out?: string;
}

/** Size from which writing takes so long that it is announced. */
const ANNOUNCED_BYTES = 2 ** 26;

/**
 * Writes the trained model of a run in the format of another program.
 * @param modelDir folder of a run, or its model/
 * @throws Error with a sentence if the model cannot be read, or the format cannot express it
 */
export async function exportModel(
  modelDir: string,
  { keras, format, out }: ExportModelFlags,
  report: Pick<Reporter, 'info'>,
): Promise<void> {
  const target =
    keras === undefined
      ? chooseTarget({ format, file: out }, modelDir)
      : chooseTarget({ format: 'keras', file: keras }, modelDir);
  await writeAndReport(await readTrainedModel(modelDir), target, report);
}

/** @throws Error with a sentence if the folder has no model */
async function readTrainedModel(modelDir: string): Promise<ExportedModel> {
  const { job, metadata } = await loadModel(modelDir);
  const inside = join(modelDir, 'model/model.json');
  const { weights } = await readModelFile(existsSync(inside) ? inside : join(modelDir, 'model.json'));
  const { gradcast, epochs, preprocessing, classNames } = metadata;
  return { job, weights: weights ?? new Map(), gradcast, epochs, preprocessing, classNames };
}

async function writeAndReport(
  model: ExportedModel,
  target: ExportTarget,
  report: Pick<Reporter, 'info'>,
): Promise<void> {
  const { job, weights, epochs, preprocessing } = model;
  const { file, format } = target;
  const bytes = [...weights.values()].reduce((sum, { values }) => sum + values.byteLength, 0);
  if (bytes > ANNOUNCED_BYTES) report.info(`Writing ${file}, ${Math.round(bytes / 1e6)} MB ...`);
  await writeModelFile(model, target);
  const trained = epochs === 1 ? '1 epoch' : `${epochs} epochs`;
  report.info(`Wrote ${file}: the model after ${trained}, for ${openingLine(target)} in Python.`);
  if (format === 'safetensors')
    report.info(
      'It has the weights in the layouts of Keras; its metadata have the model, and how PyTorch wants them.',
    );
  else for (const line of [...inputLines(job), ...preparationLines(preprocessing, format)]) report.info(line);
  if (format !== 'keras') return;
  const customLoss = job.outputs.find(({ loss }) => loss.function !== undefined)?.loss.function;
  if (customLoss !== undefined) {
    report.info(`It is not compiled: Keras does not have the loss ${customLoss}.`);
    return;
  }
  const missing = describeMissing(job);
  report.info(
    `It is compiled with the optimizer, loss and metrics of the run, and fit() starts the optimizer and its schedule anew${missing === null ? '' : `, without ${missing}`}.`,
  );
}

/** Lines about the values that the model takes. */
function inputLines({ inputs }: Job): string[] {
  const [input, ...others] = inputs;
  if (input !== undefined && others.length === 0) {
    const values = describeInput(input);
    return [values.startsWith('pixels from') ? 'It takes pixels from 0 to 255.' : `It takes ${values}.`];
  }
  return inputs.map((each) => `Its input ${each.name} takes ${describeInput(each)}.`);
}

/** Lines about what has to be done to the rows of a table before. */
function preparationLines(preprocessing: unknown, format: ExportFormat): string[] {
  const parsed = parsePreprocessing(preprocessing);
  if (parsed?.kind !== 'table') return [];
  const place = format === 'onnx' ? "the file's metadata" : 'model.json of the run';
  return [
    `Columns of a table are standardized first, (value - mean) / std, and categories are one-hot: preprocessing in ${place} has the figures.`,
  ];
}

/** Settings that Keras does not keep in a model, or the file does not have; null if there are none. */
function describeMissing({ optimizer, outputs }: Job): string | null {
  const { noDecay = [], schedule } = optimizer;
  const customMetrics = customTerms(outputs).filter(({ kind }) => kind === 'metric');
  const parts = [
    customMetrics.length > 0 ? customMetrics.map(({ name }) => `the metric ${name}`).join(', ') : null,
    noDecay.length > 0 ? 'the tensors that have no weight decay (exclude_from_weight_decay)' : null,
    schedule?.name === 'plateau' ? 'the plateau schedule (ReduceLROnPlateau)' : null,
  ].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join(' and ');
}

/**
 * Checks that the model of a run can be exported at its end.
 * @param names formats or files, as --export has them
 * @throws Error with a sentence that names the layer and what to do
 */
export async function checkRunExports(
  names: readonly string[] = [],
  {
    job,
    weights,
    weightNames,
  }: { readonly job: Job; readonly weights: Float32Array; readonly weightNames: readonly string[] },
): Promise<void> {
  for (const name of names) {
    const { format } = runTarget(name, '');
    await checkExport({ job, weights: nameWeights(weights, weightNames, job.layout) }, format);
  }
}

/**
 * Exports the saved model of a run.
 * @param names formats or files, as --export has them
 * @throws Error with a sentence; the model is saved all the same
 */
export async function exportRun(
  names: readonly string[] = [],
  { dir }: { readonly dir: string },
  report: Pick<Reporter, 'info'>,
): Promise<void> {
  if (names.length === 0) return;
  try {
    const model = await readTrainedModel(dir);
    for (const name of names) await writeAndReport(model, runTarget(name, dir), report);
  } catch (error) {
    throw new Error(`The trained model is saved in ${dir}, but not exported: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
