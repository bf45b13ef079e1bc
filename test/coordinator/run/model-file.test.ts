import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readModelFile } from '../../../coordinator/run/model-file.ts';
import { fillWeights } from '../../../coordinator/run/weights-file.ts';

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
  it.each<[string, string]>([
    ['as to_json() writes it', text],
    ['as json.dump of to_json() writes it', JSON.stringify(text)],
    ['with a byte order mark', `\uFEFF${text}`],
    ['with both of these', `\uFEFF${JSON.stringify(text)}`],
    ['in model_config', JSON.stringify({ model_config: model })],
    ['in model_config as text', JSON.stringify({ model_config: text })],
    [
      'in a model.json of TensorFlow.js',
      JSON.stringify({ format: 'layers-model', modelTopology: { model_config: model } }),
    ],
  ])('is read %s', async (_, content) => {
    expect(await readModelFile(await file(content))).toEqual({ topology: model, weights: null });
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
    ['.keras', Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0), 'a zip archive, such as a .keras file of Keras 3'],
    ['.h5', Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a), 'an HDF5 file, such as an .h5 file of Keras'],
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
  });
});
