import type { Job } from '../../shared/model/job.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import type { NamedWeights } from '../model-file/weights-file.ts';
import type { ExportTarget } from './formats.ts';

// What exported files say about a model: names, values, and how they are opened.

/** Trained model to export. */
export interface ExportedModel {
  readonly job: Job;
  /** Tensors of the model by name, in the order of the layout. */
  readonly weights: NamedWeights;
  /** Version of gradcast that trained it. */
  readonly gradcast: string;
  readonly epochs: number;
  /** How raw files become inputs, if the run has it. */
  readonly preprocessing?: unknown;
  /** Names of the classes, if the data has them. */
  readonly classNames?: readonly string[] | undefined;
}

/** Names that differ from each other and from those before. */
function distinct(names: readonly string[], taken: readonly string[] = []): string[] {
  const used = new Set(taken);
  return names.map((name) => {
    let unique = name;
    for (let i = 1; used.has(unique); i++) unique = `${name}_${i}`;
    used.add(unique);
    return unique;
  });
}

/** Names of the inputs and outputs of an ONNX model, which all differ. */
export function tensorNames({ inputs, outputs }: Pick<Job, 'inputs' | 'outputs'>): {
  inputs: string[];
  outputs: string[];
} {
  const names = distinct(inputs.map(({ name }) => name));
  return {
    inputs: names,
    outputs: distinct(
      outputs.map(({ name }) => name),
      names,
    ),
  };
}

/** Names that Python does not take as those of arguments; `self` is an argument of the function that TensorFlow makes. */
const PYTHON_WORDS: ReadonlySet<string> = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from global if import in ' +
    'is lambda nonlocal not or pass raise return self try while with yield'
  ).split(' '),
);

/** Names of the inputs and outputs of a signature, which Python can write as arguments. */
export function signatureNames({ inputs, outputs }: Pick<Job, 'inputs' | 'outputs'>): {
  inputs: string[];
  outputs: string[];
} {
  const safe = ({ name }: { readonly name: string }): string => {
    const word = name.replaceAll(/[^A-Za-z0-9_]/g, '_');
    return PYTHON_WORDS.has(word) ? `x_${word}` : word.replace(/^(?![A-Za-z])/, 'x_');
  };
  return { inputs: distinct(inputs.map(safe)), outputs: distinct(outputs.map(safe)) };
}

/**
 * Values that an input takes, in words: "pixels divided by 255, as float32".
 * @param input as the job has it
 */
export function describeInput({ dtype, shape, scale = 1, offset = 0, classes }: TensorSpec): string {
  const isImage = dtype === 'uint8' && shape.length === 3;
  const what = isImage
    ? 'pixels'
    : dtype === 'bool'
      ? '0 and 1'
      : classes === undefined
        ? 'values'
        : `whole numbers from 0 to ${classes - 1}`;
  if (isImage && scale === 1 && offset === 0) return 'pixels from 0 to 255, as float32';
  const factor = scale === 1 ? '' : Math.abs(scale * 255 - 1) < 1e-9 ? ' divided by 255' : ` times ${scale}`;
  return `${what}${factor}${offset === 0 ? '' : ` plus ${offset}`}, as float32`;
}

/** Inputs and outputs of a model, in words. */
export function describeModel({ job, epochs }: ExportedModel): string {
  const shape = (sides: readonly number[]): string => `[batch${sides.map((side) => `, ${side}`).join('')}]`;
  const names = tensorNames(job);
  const inputs = job.inputs.map(
    (input, i) => `Input ${names.inputs[i] ?? ''} ${shape(input.shape)}: ${describeInput(input)}.`,
  );
  const outputs = job.outputs.map((output, i) => `Output ${names.outputs[i] ?? ''} ${shape(output.shape)}.`);
  return [`Trained with gradcast for ${epochs} epoch${epochs === 1 ? '' : 's'}.`, ...inputs, ...outputs].join(
    ' ',
  );
}

/** Texts about a model for programs. */
export function metadataOf({
  job,
  gradcast,
  epochs,
  preprocessing,
  classNames,
}: ExportedModel): Record<string, string> {
  return {
    gradcast,
    epochs: String(epochs),
    inputs: JSON.stringify(job.inputs.map((input) => ({ ...input, values: describeInput(input) }))),
    outputs: JSON.stringify(job.outputs.map(({ name, shape, loss }) => ({ name, shape, loss }))),
    ...(classNames === undefined ? {} : { class_names: JSON.stringify(classNames) }),
    ...(preprocessing === undefined ? {} : { preprocessing: JSON.stringify(preprocessing) }),
  };
}

/** How a file is opened in Python. */
export function openingLine({ format, file }: ExportTarget): string {
  const name = JSON.stringify(file);
  switch (format) {
    case 'keras':
      return `keras.saving.load_model('${file}')`;
    case 'onnx':
      return `onnxruntime.InferenceSession(${name})`;
    case 'safetensors':
      return `safetensors.numpy.load_file(${name})`;
    case 'savedmodel':
      return `tf.saved_model.load(${name}).signatures["serving_default"]`;
  }
}
