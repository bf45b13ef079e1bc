import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { zipBytes } from '../../support/zip-bytes.ts';
import { fillWeights } from '../../../coordinator/model-file/weights-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'gradcast-model-file-'));
afterAll(() => rm(folder, { recursive: true }));

const model = { class_name: 'Sequential', config: { name: 'm', layers: [] } };
const text = JSON.stringify(model);
let files = 0;
async function file(content: string | Uint8Array): Promise<string> {
  const path = join(folder, `${files++}.json`);
  await writeFile(path, content);
  return path;
}

describe('a topology', () => {
  it.each<[string, string | Uint8Array]>([
    ['as to_json() writes it', text],
    ['as json.dump of to_json() writes it', JSON.stringify(text)],
    ['with a byte order mark', `\uFEFF${text}`],
    ['with both of these', `\uFEFF${JSON.stringify(text)}`],
    ['in UTF-16, as shells of Windows write it', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    ['in model_config', JSON.stringify({ model_config: model })],
    ['in model_config as text', JSON.stringify({ model_config: text })],
    [
      'in a model.json of TensorFlow.js',
      JSON.stringify({ format: 'layers-model', modelTopology: { model_config: model } }),
    ],
  ])('is read %s', async (_, content) => {
    expect(await readModelFile(await file(content))).toEqual({
      topology: model,
      weights: null,
      compileConfig: null,
      optimizerState: null,
    });
  });

  it('keeps the version that wrote it', async () => {
    const { topology } = await readModelFile(
      await file(JSON.stringify({ modelTopology: { keras_version: '3.1', model_config: model } })),
    );
    expect(topology.keras_version).toBe('3.1');
  });
});

describe('a file of another format is rejected with its format and a remedy', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['.gz', Uint8Array.of(0x1f, 0x8b, 8, 0), 'compressed by gzip'],
    ['an empty one', '', 'is empty'],
    ['text', 'model = Sequential()', 'is not JSON'],
    ['bytes', Uint8Array.of(0xff, 0xfe, 0, 1), 'is not JSON'],
    ['a list', '[1, 2]', 'holds no Keras model'],
    ['JSON of something else', '{"a": 1}', 'holds no Keras model'],
  ])('%s', async (_, content, what) => {
    const path = await file(content);
    const failing = expect(readModelFile(path)).rejects;
    await failing.toThrow(path);
    await failing.toThrow(what);
    await failing.toThrow("open('model.json', 'w').write(model.to_json())");
  });

  const input = { class_name: 'InputLayer', config: { name: 'in', batch_input_shape: [null, 2] } };
  const whole = JSON.stringify({ ...model, config: { name: 'm', layers: [input] } });
  const pickle = Uint8Array.of(0x80, 4, 0x95);
  const protobuf = Uint8Array.of(8, 1, 18, 0);
  it.each<[string, string | Uint8Array, RegExp]>([
    ['model.pb', protobuf, /a graph of TensorFlow\. .*save it with model\.save\('model\.keras'\)\.$/],
    ['model.onnx', protobuf, /an ONNX model\. Build the model in Keras/],
    ['model.tflite', 'x', /TensorFlow Lite, which cannot be trained\. Save the Keras model/],
    ['model', Uint8Array.of(28, 0, 0, 0, 0x54, 0x46, 0x4c, 0x33), /TensorFlow Lite/],
    ['model.safetensors', Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0, 0x7b), /weights alone \(safetensors\)/],
    ['model.pth', pickle, /a model of PyTorch\. Build/],
    ['model.pkl', pickle, /a pickle of Python, which could run any program/],
    ['model.bin', pickle, /a pickle of Python/],
    ['torch.pt', zipBytes({ 'm/data.pkl': 'x', 'm/version': '3' }), /a model of PyTorch/],
    ['arrays.npz', zipBytes({ 'a.npy': 'x' }), /a file of NumPy arrays/],
    ['saved.zip', zipBytes({ 'm/saved_model.pb': 'x' }), /a packed SavedModel/],
    ['folder.keras', zipBytes({ 'm/config.json': '{}' }), /pack its files without the folder\.$/],
    ['other.keras', zipBytes({ 'readme.txt': 'x' }), /without config\.json, so not a \.keras file/],
    ['half.keras', zipBytes({ 'config.json': text }), /has no model\.weights\.h5/],
    ['cut.keras', zipBytes({ 'config.json': text }).subarray(0, 40), /cut short, damaged or encrypted/],
    ['start.keras', Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0), /cut short, damaged or encrypted/],
    [
      'config.keras',
      zipBytes({ 'config.json': '{', 'model.weights.h5': 'x' }),
      /configuration that is not JSON/,
    ],
    ['weights.keras', zipBytes({ 'config.json': whole, 'model.weights.h5': 'x' }), /damaged or cut short/],
    ['start.h5', Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a), /damaged or cut short/],
  ])('%s', async (name, content, what) => {
    const path = join(folder, name);
    await writeFile(path, content);
    const failing = expect(readModelFile(path)).rejects;
    await failing.toThrow(path);
    await failing.toThrow(what);
  });

  it('folders of a SavedModel and of TensorFlow.js', async () => {
    const saved = join(folder, 'saved');
    await mkdir(saved);
    await writeFile(join(saved, 'saved_model.pb'), 'x');
    await expect(readModelFile(saved)).rejects.toThrow(
      `${saved} is a SavedModel folder of TensorFlow. Load it in Python and save it with model.save('model.keras').`,
    );
    const tfjs = join(folder, 'tfjs');
    await mkdir(tfjs);
    await writeFile(join(tfjs, 'model.json'), text);
    await expect(readModelFile(tfjs)).rejects.toThrow(`Name its model: --model ${join(tfjs, 'model.json')}`);
  });

  it('a graph model, a folder, and a missing file', async () => {
    const graph = await file(JSON.stringify({ modelTopology: { node: [] } }));
    await expect(readModelFile(graph)).rejects.toThrow(
      'is a graph model of TensorFlow.js, which cannot be trained',
    );
    await expect(readModelFile(folder)).rejects.toThrow(`${folder} cannot be read: it is a folder.`);
    await expect(readModelFile(join(folder, 'none'))).rejects.toThrow(
      'the file or a folder above it does not exist.',
    );
  });
});

describe('weights of a model file', () => {
  const tensors = [
    { name: 'a/kernel', shape: [2, 2], dtype: 'float32' },
    { name: 'a/bias', shape: [2], dtype: 'float32' },
  ];
  const withWeights = (weights: object[], paths: string[] = ['w.bin']) =>
    file(JSON.stringify({ modelTopology: model, weightsManifest: [{ paths, weights }] }));

  it('are read from one file or several, and copied to the tensors of their names', async () => {
    const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    await writeFile(join(folder, 'part1.bin'), bytes.subarray(0, 7));
    await writeFile(join(folder, 'part2.bin'), bytes.subarray(7));
    const { weights } = await readModelFile(await withWeights(tensors, ['part1.bin', 'part2.bin']));
    const target = new Float32Array(6);
    fillWeights(target, ['a/bias', 'a/kernel'], [[2], [2, 2]], weights ?? new Map());
    expect([...target]).toEqual([5, 6, 1, 2, 3, 4]);
    expect(() => fillWeights(target, ['b/bias'], [[2]], weights ?? new Map())).toThrow(
      'b/bias is [2], its weights are missing',
    );
    expect(() => fillWeights(target, ['a/kernel'], [[4]], weights ?? new Map())).toThrow(
      'a/kernel is [4], its weights are [2, 2]',
    );
  });

  it('are never ignored silently', async () => {
    await writeFile(join(folder, 'w.bin'), new Uint8Array(23));
    await expect(readModelFile(await withWeights(tensors))).rejects.toThrow(
      'its weights end before a/bias is complete',
    );
    await expect(readModelFile(await withWeights(tensors, ['gone.bin']))).rejects.toThrow(
      'gone.bin, which cannot be read',
    );
    for (const path of ['../w.bin', join(folder, 'w.bin'), 'x/../../w.bin']) {
      await expect(readModelFile(await withWeights(tensors, [path]))).rejects.toThrow(
        'names weights outside its folder',
      );
    }
    const quantized = [{ ...tensors[0], quantization: { dtype: 'uint8', scale: 1, min: 0 } }];
    await expect(readModelFile(await withWeights(quantized))).rejects.toThrow(
      'a/kernel are not plain float32',
    );
    await expect(readModelFile(await withWeights([{ ...tensors[0], dtype: 'int32' }]))).rejects.toThrow(
      'not plain float32',
    );
    await expect(readModelFile(await withWeights([{ name: 3 }]))).rejects.toThrow('is damaged');
    expect((await readModelFile(await withWeights([], []))).weights).toBeNull();
    await writeFile(join(folder, 'nan.bin'), new Uint8Array(Float32Array.of(1, 2, NaN, 4, 5, 6).buffer));
    await expect(readModelFile(await withWeights(tensors, ['nan.bin']))).rejects.toThrow(
      'the weights of a/kernel are not all finite numbers',
    );
  });
});
