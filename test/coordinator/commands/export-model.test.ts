import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { exportModel } from '../../../coordinator/commands/export-model.ts';
import { decodeOnnx } from '../../../coordinator/export/onnx-messages.ts';
import { decodeSavedModel } from '../../../coordinator/export/saved-model-messages.ts';
import { describeInput, signatureNames, tensorNames } from '../../../coordinator/export/describe-model.ts';
import { checkExport } from '../../../coordinator/export/write-model.ts';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { modelToSave, saveModel } from '../../../coordinator/run/model-folder.ts';
import type { Job } from '../../../shared/model/job.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';

const folder = await mkdtemp(join(tmpdir(), 'gradcast-export-'));
afterAll(() => rm(folder, { recursive: true }));

test('the model of a run, or of its model/, is written for Keras', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 1 };
  const model = modelToSave(job, { weights: initialWeights, names: weightNames }, training, null);
  await saveModel(join(folder, 'model'), model);
  for (const dir of [folder, join(folder, 'model')]) {
    const lines: string[] = [];
    const keras = join(folder, 'out.keras');
    await exportModel(dir, { keras }, { info: (line) => lines.push(line) });
    expect(lines).toEqual([
      `Wrote ${keras}: the model after 1 epoch, for keras.saving.load_model('${keras}') in Python.`,
      'It takes pixels divided by 255, as float32.',
      'It is compiled with the optimizer, loss and metrics of the run, and fit() starts the optimizer and its schedule anew.',
    ]);
    const { weights, compileConfig } = await readModelFile(keras);
    expect(compileConfig).toMatchObject({
      optimizer: { class_name: 'Adadelta', config: { learning_rate: 1, rho: 0.95, epsilon: 1e-8 } },
      loss: 'sparse_categorical_crossentropy',
      metrics: ['accuracy'],
    });
    // Keras refuses whole numbers as learning rates.
    expect((await readFile(keras)).includes('"learning_rate":1.0,')).toBe(true);
    expect(weights?.get('dense_2/bias')?.values).toEqual(initialWeights.slice(-10));
  }
});

test('the loss and metrics of the written model are those that Keras takes', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, {
    batchSize: 8,
    epochs: 1,
    seed: 1,
    loss: 'categorical_generalized_cross_entropy',
    metrics: [{ name: 'fbeta_score', beta: 2, threshold: 1 }],
  });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 1 };
  const model = modelToSave(job, { weights: initialWeights, names: weightNames }, training, null);
  await saveModel(join(folder, 'model'), model);
  const keras = join(folder, 'out.keras');
  await exportModel(folder, { keras }, { info: () => undefined });
  const { compileConfig } = await readModelFile(keras);
  // Keras has no name for the function of this loss.
  expect(compileConfig?.loss).toMatchObject({ class_name: 'CategoricalGeneralizedCrossEntropy' });
  // It refuses whole numbers as these options.
  const text = await readFile(keras);
  for (const option of ['"beta":2.0', '"threshold":1.0']) expect(text.includes(option), option).toBe(true);
});

test('what the written model does not have is named', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, {
    batchSize: 8,
    epochs: 1,
    seed: 1,
    optimizer: { name: 'adamw', noDecay: ['bias'], schedule: { name: 'plateau' } },
  });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 1 };
  const parts = { weights: initialWeights, names: weightNames };
  await saveModel(join(folder, 'other'), modelToSave(job, parts, training, null));
  const lines: string[] = [];
  await exportModel(
    join(folder, 'other'),
    { keras: join(folder, 'o.keras') },
    { info: (line) => lines.push(line) },
  );
  expect(lines.at(-1)).toBe(
    'It is compiled with the optimizer, loss and metrics of the run, and fit() starts the optimizer and its schedule anew, without ' +
      'the tensors that have no weight decay (exclude_from_weight_decay) and the plateau schedule (ReduceLROnPlateau).',
  );
});

test('the model is written in each format, and the lines say how it is opened', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 2 };
  const run = join(folder, 'formats');
  const parts = { weights: initialWeights, names: weightNames };
  await saveModel(join(run, 'model'), modelToSave(job, parts, training, null));
  const lines: string[] = [];
  const report = { info: (line: string) => lines.push(line) };
  for (const format of ['onnx', 'safetensors', 'savedmodel']) await exportModel(run, { format }, report);
  const [onnx, safetensors, saved] = ['model.onnx', 'model.safetensors', 'saved_model'].map((name) =>
    join(run, name),
  ) as [string, string, string];
  const after = 'the model after 2 epochs, for';
  expect(lines).toEqual([
    `Wrote ${onnx}: ${after} onnxruntime.InferenceSession("${onnx}") in Python.`,
    'It takes pixels divided by 255, as float32.',
    `Wrote ${safetensors}: ${after} safetensors.numpy.load_file("${safetensors}") in Python.`,
    'It has the weights in the layouts of Keras; its metadata have the model, and how PyTorch wants them.',
    `Wrote ${saved}: ${after} tf.saved_model.load("${saved}").signatures["serving_default"] in Python.`,
    'It takes pixels divided by 255, as float32.',
  ]);
  const { graph, docString } = decodeOnnx(await readFile(onnx));
  expect(graph.input.map(({ name }) => name)).toEqual(['image']);
  expect(graph.output.map(({ name }) => name)).toEqual([job.outputs[0]?.name]);
  expect(docString).toBe(
    'Trained with gradcast for 2 epochs. Input image [batch, 28, 28, 1]: pixels divided by 255, as float32. Output dense_2 [batch, 10].',
  );
  const { signatureDef } = decodeSavedModel(await readFile(join(saved, 'saved_model.pb'))).metaGraphs[0]!;
  expect(Object.keys(signatureDef.serving_default?.inputs ?? {})).toEqual(['image']);
  // A second time, the file is replaced, also after a process was killed while it wrote it; other files in the folder would become
  // parts of the model.
  await writeFile(join(saved, 'saved_model.pb.1234567890'), 'a part');
  await exportModel(run, { format: 'savedmodel' }, report);
  await expect(exportModel(run, { format: 'savedmodel', out: run }, report)).rejects.toThrow(
    `${run} has other files (model). Name a folder of its own for the SavedModel.`,
  );
  expect(await readdir(saved)).toEqual(['saved_model.pb']);
});

test('names of inputs and outputs differ, and those of a signature are arguments of Python', () => {
  const named = (...names: string[]) => names.map((name) => ({ name, shape: [1] }));
  const job = { inputs: named('x', 'my input'), outputs: named('x', '2nd') } as unknown as Job;
  expect(tensorNames(job)).toEqual({ inputs: ['x', 'my input'], outputs: ['x_1', '2nd'] });
  expect(signatureNames(job)).toEqual({ inputs: ['x', 'my_input'], outputs: ['x', 'x_2nd'] });
  // TensorFlow does not load a signature with such names.
  const words = { inputs: named('in', 'self', 'x_in'), outputs: named('class') } as unknown as Job;
  expect(signatureNames(words)).toEqual({ inputs: ['x_in', 'x_self', 'x_in_1'], outputs: ['x_class'] });
});

test.each([
  [{ dtype: 'uint8', shape: [28, 28, 1], scale: 1 / 255 }, 'pixels divided by 255, as float32'],
  [{ dtype: 'uint8', shape: [8, 8, 3] }, 'pixels from 0 to 255, as float32'],
  [{ dtype: 'float32', shape: [4] }, 'values, as float32'],
  [{ dtype: 'int32', shape: [9], classes: 50 }, 'whole numbers from 0 to 49, as float32'],
  [{ dtype: 'bool', shape: [3] }, '0 and 1, as float32'],
  [{ dtype: 'float32', shape: [1], scale: 0.5, offset: -1 }, 'values times 0.5 plus -1, as float32'],
] as const)('an input of %o takes %s', (spec, text) => {
  expect(describeInput({ name: 'x', ...spec, shape: [...spec.shape] })).toBe(text);
});

test('a model with more weights than a graph holds is refused before it is made', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  // Only the number of bytes counts.
  const large = { shape: [2 ** 30], values: { byteLength: 2 ** 32 } as Float32Array };
  const weights = new Map([['dense/kernel', large]]);
  await expect(checkExport({ job, weights }, 'onnx')).rejects.toThrow(
    'The model has 4.3 GB, and an ONNX file holds at most 2.1. Use --format keras or --format safetensors.',
  );
  await expect(checkExport({ job, weights }, 'savedmodel')).rejects.toThrow(
    'the graph of a SavedModel holds',
  );
  await expect(checkExport({ job, weights }, 'keras')).rejects.toThrow(
    'The model has 4.3 GB, and a .keras file holds at most 4.3. Use --format safetensors.',
  );
});

test('other names and folders are refused', async () => {
  const report = { info: () => undefined };
  await expect(exportModel(folder, {}, report)).rejects.toThrow(
    'Name the format with --format: keras, onnx, safetensors or savedmodel. A file such as --out model.onnx says it too.',
  );
  await expect(exportModel(folder, { keras: 'a.h5' }, report)).rejects.toThrow('does not end in .keras');
  await writeFile(join(folder, 'x'), '');
  await expect(exportModel(join(folder, 'none'), { keras: 'a.keras' }, report)).rejects.toThrow(
    'No gradcast model in',
  );
});

test('the lines about the model of a table say what has to be done to its columns', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  const preprocessing = {
    kind: 'table' as const,
    columns: [{ name: 'width', type: 'number' as const, mean: 0, std: 1, missing: 0 }],
    targets: [],
  };
  const dir = join(folder, 'table');
  for (const saved of [{ preprocessing }, {}]) {
    const training = { gradcast: '0', dataDescription: 'digits', epochs: 1, ...saved };
    await saveModel(dir, modelToSave(job, { weights: initialWeights, names: weightNames }, training, null));
    const lines: string[] = [];
    await exportModel(dir, { format: 'onnx' }, { info: (line) => lines.push(line) });
    const line =
      "Columns of a table are standardized first, (value - mean) / std, and categories are one-hot: preprocessing in the file's metadata has the figures.";
    expect(lines.filter((each) => each === line)).toHaveLength('preprocessing' in saved ? 1 : 0);
  }
});
