import { deflateRawSync } from 'node:zlib';
import h5wasm from 'h5wasm';
import { afterAll, describe, expect, test } from 'vitest';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { readHdf5Configs } from '../../../coordinator/model-file/keras-file.ts';
import { kerasFile, kerasFolder } from '../../support/keras-files.ts';
import { fixedRandom } from '../../support/property.ts';
import { zipBytes } from '../../support/zip-bytes.ts';

const folder = await kerasFolder();
afterAll(() => folder.remove());

const layer = (className: string, config: object) => ({ class_name: className, config });
const topology = layer('Sequential', {
  name: 'm',
  layers: [
    layer('InputLayer', { name: 'in', batch_shape: [null, 3] }),
    layer('Dense', { name: 'd', units: 2, activation: 'softmax' }),
  ],
});
const text = JSON.stringify(topology);

/** Bytes of an HDF5 file that a function fills. */
async function hdf5(fill: (file: InstanceType<typeof h5wasm.File>) => void): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File('/hostile.h5', 'w');
  fill(file);
  file.close();
  const bytes = FS.readFile('/hostile.h5');
  FS.unlink('/hostile.h5');
  return bytes;
}

/** A model in a .keras file with other weights. */
async function withWeights(fill: (file: InstanceType<typeof h5wasm.File>) => void) {
  const weights = await hdf5((file) => {
    for (const group of ['layers', 'layers/dense', 'layers/dense/vars']) file.create_group(group);
    fill(file);
  });
  return readModelFile(
    await folder.write('w.keras', zipBytes({ 'config.json': text, 'model.weights.h5': weights })),
  );
}
const kernel = { name: 'layers/dense/vars/0', data: new Float32Array(6), shape: [3, 2] };
const bias = { name: 'layers/dense/vars/1', data: new Float32Array(2), shape: [2] };

describe('weights of a .keras file', () => {
  test('are read, whatever else is in the file', async () => {
    const { weights } = await withWeights((file) => {
      file.create_dataset(kernel);
      file.create_dataset(bias);
      // Circles of links are never followed.
      file.create_hard_link('/', 'layers/dense/vars/loop');
      file.create_soft_link('/around', 'around');
    });
    expect(weights?.get('d/kernel')?.shape).toEqual([3, 2]);
  });

  test.each<[string, RegExp, Parameters<typeof withWeights>[0]]>([
    ['missing', /d\/bias \(layers\/dense\/vars\/1\) are missing/, (file) => file.create_dataset(kernel)],
    [
      'in a circle of links',
      /d\/bias .* are missing|is not a tensor|damaged/,
      (file) => {
        file.create_dataset(kernel);
        file.create_soft_link('/layers/dense/vars/1', 'layers/dense/vars/1');
      },
    ],
    [
      'in another file',
      /is not a tensor|damaged/,
      (file) => {
        file.create_dataset(kernel);
        file.create_external_link('/etc/passwd', 'x', 'layers/dense/vars/1');
      },
    ],
    ['a group', /is not a tensor/, (file) => file.create_group('layers/dense/vars/0')],
    [
      'whole numbers',
      /not of the type float32/,
      (file) => file.create_dataset({ ...kernel, data: new Int32Array(6) }),
    ],
    [
      'of 64 bits',
      /not of the type float32/,
      (file) => file.create_dataset({ ...kernel, data: new Float64Array(6) }),
    ],
    [
      'compressed',
      /compressed/,
      (file) => file.create_dataset({ ...kernel, chunks: [3, 2], compression: 9 }),
    ],
    [
      'not a number',
      /d\/kernel are not all finite numbers/,
      (file) => {
        file.create_dataset({ ...kernel, data: Float32Array.of(1, 2, 3, NaN, 5, 6) });
        file.create_dataset(bias);
      },
    ],
    [
      'one tensor many times',
      /larger than the file/,
      (file) => {
        file.create_dataset({ ...kernel, data: new Float32Array(100_000), shape: [50_000, 2] });
        file.create_hard_link('/layers/dense/vars/0', 'layers/dense/vars/1');
      },
    ],
  ])('are rejected: %s', async (_, message, fill) => {
    const failing = expect(withWeights(fill)).rejects;
    await failing.toThrow(/w\.keras cannot be used: .*\. Save the model again with Keras\.$/);
    await failing.toThrow(message);
  });

  test('are not unpacked if they are a bomb', async () => {
    const bomb = zipBytes({ 'config.json': text, 'model.weights.h5': deflateRawSync(Buffer.alloc(40e6)) });
    // The method of the second entry is changed to deflate, and its unpacked size, in both headers.
    for (let at = bomb.indexOf('model.weights.h5'); at >= 0; at = bomb.indexOf('model.weights.h5', at + 1)) {
      const start = bomb.lastIndexOf('PK', at);
      const header = start + (bomb[start + 2] === 1 ? 6 : 4);
      bomb.writeUInt16LE(8, header + 4);
      bomb.writeUInt32LE(40e6, header + 18);
    }
    await expect(readModelFile(await folder.write('bomb.keras', bomb))).rejects.toThrow(
      'bomb.keras unpacks to more than 16777216 bytes of model.weights.h5, which no .keras file does.',
    );
  });
});

describe('an .h5 file', () => {
  test('of weights alone says how to use it', async () => {
    await expect(readModelFile(await folder.unpack('nested-2.old-weights.h5'))).rejects.toThrow(
      /contains weights alone\. Name the model's topology too: --model model\.json --weights /,
    );
  });

  test.each<[string, RegExp, Parameters<typeof hdf5>[0]]>([
    ['without weights', /has no weights of Keras/, () => undefined],
    [
      'without weights of a layer',
      /weights of layer d are missing/,
      (file) => void file.create_group('model_weights'),
    ],
    [
      'with a list of names that is no text',
      /attribute weight_names is not text/,
      (file) => {
        file.create_group('model_weights');
        file.create_group('model_weights/d').create_attribute('weight_names', [1, 2]);
      },
    ],
    [
      'with other numbers of tensors',
      /has 1 tensors of layer d, which has 2 in the model/,
      (file) => {
        file.create_group('model_weights');
        file.create_group('model_weights/d').create_attribute('weight_names', ['k']);
      },
    ],
  ])('is rejected %s', async (_, message, fill) => {
    const bytes = await hdf5((file) => {
      file.create_attribute('model_config', text);
      fill(file);
    });
    await expect(readModelFile(await folder.write('w.h5', bytes))).rejects.toThrow(message);
  });

  test('in which the library searches for ever is rejected after a time', async () => {
    const bytes = kerasFile('unique-2.h5');
    // Pointers of its lists of text lead in a circle; found by changing random bytes.
    for (const [offset, value] of [
      [3646, 70],
      [9762, 3],
      [12200, 255],
      [56093, 255],
      [56655, 60],
      [61478, 255],
    ] as const)
      bytes[offset] = value;
    await expect(readHdf5Configs('loop.h5', bytes, 2_000)).rejects.toThrow(
      'loop.h5 cannot be used: it is damaged or cut short. Save the model again with Keras.',
    );
  });

  test('whose bytes are changed is read or rejected with a sentence', async () => {
    const random = fixedRandom();
    const bytes = kerasFile('embedding-3.h5');
    for (let i = 0; i < 12; i++) {
      const changed = Uint8Array.from(bytes);
      for (let n = 0; n < 6; n++) changed[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const path = await folder.write('changed.h5', i % 3 === 0 ? changed.subarray(0, 900 * i) : changed);
      const problem = await readModelFile(path).then(
        () => null,
        (error: unknown) => (error as Error).message,
      );
      if (problem !== null) expect(problem).toMatch(/\.$|--weights .*\.h5$/);
    }
  });
});

describe('a configuration', () => {
  const nest = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  test.each<[string, string, RegExp]>([
    ['nested deeply', `{"config":${nest(100_000)}}`, /nested more than 100 levels deep/],
    [
      'of very many layers',
      JSON.stringify(layer('Sequential', { layers: Array.from({ length: 10_001 }, () => 0) })),
      /more than 10000 layers/,
    ],
    ['nested deeply as text', JSON.stringify({ model_config: `{"config":${nest(200)}}` }), /levels deep/],
  ])('%s is rejected', async (_, content, message) => {
    await expect(readModelFile(await folder.write('m.json', content))).rejects.toThrow(message);
  });
});
