import { describe, expect, it, test } from 'vitest';
import {
  asImages,
  imageDataset,
  limitTrainSamples,
  readSamples,
  type Dataset,
  type StoredSplit,
} from '../../../shared/data/dataset.ts';
import { randomShard } from '../../../shared/data/random-shard.ts';
import { checkClasses, shardBytes, sliceShard, viewShard, writeShard } from '../../../shared/data/shard.ts';
import {
  convertTensor,
  describeShapes,
  type SampleFormat,
  type TensorSpec,
  type TensorValues,
} from '../../../shared/model/tensors.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';

/** Every dtype, with parts whose bytes are no multiple of 4. */
const format: SampleFormat = {
  inputs: [
    { name: 'pixels', shape: [3], dtype: 'uint8', scale: 1 / 255 },
    { name: 'words', shape: [2, 1], dtype: 'int32', classes: 1000 },
    { name: 'flag', shape: [], dtype: 'bool' },
  ],
  targets: [{ name: 'value', shape: [2], dtype: 'float32' }],
  sampleWeights: true,
};
const split = {
  inputs: [
    Uint8Array.from({ length: 12 }, (_, i) => i),
    Int32Array.from({ length: 8 }, (_, i) => 100 + i),
    Uint8Array.of(0, 1, 1, 0),
  ],
  targets: [Float32Array.from({ length: 8 }, (_, i) => i / 2)],
  weights: Float32Array.of(1, 2, 3, 4),
  count: 4,
};

function write(numbers: number[], samples: StoredSplit = split): Uint8Array {
  const payload = new Uint8Array(shardBytes(numbers.length, format));
  writeShard(payload, readSamples(samples, Uint32Array.from(numbers)), format);
  return payload;
}

describe('a payload', () => {
  it('has sample numbers, inputs, targets and weights, each from a multiple of 4 on', () => {
    const payload = write([3, 1, 2]);
    expect(payload.length).toBe(12 + 12 + 24 + 4 + 24 + 12);
    const shard = viewShard(payload, 3, format);
    expect(shard).toEqual({
      sampleNumbers: Uint32Array.of(3, 1, 2),
      inputs: [
        Uint8Array.of(9, 10, 11, 3, 4, 5, 6, 7, 8),
        Int32Array.of(106, 107, 102, 103, 104, 105),
        Uint8Array.of(0, 1, 1),
      ],
      targets: [Float32Array.of(3, 3.5, 1, 1.5, 2, 2.5)],
      weights: Float32Array.of(4, 2, 3),
    });
    expect(payload.subarray(21, 24)).toEqual(new Uint8Array(3));
  });

  it('has weights of 1 if the split has none', () => {
    const { weights, ...unweighted } = split;
    expect(weights).toHaveLength(4);
    expect(viewShard(write([0, 1], unweighted), 2, format).weights).toEqual(Float32Array.of(1, 1));
  });

  it('of another length is malformed', () => {
    expect(() => viewShard(write([1]).subarray(4), 1, format)).toThrow(
      'A shard of 1 samples has 32 payload bytes; this one has 28.',
    );
  });

  it('has whole numbers below the number of classes', () => {
    const shard = viewShard(write([0, 1]), 2, format);
    expect(() => checkClasses(shard, format)).not.toThrow();
    for (const wrong of [1000, -1]) {
      shard.inputs[1]![2] = wrong;
      expect(() => checkClasses(shard, format)).toThrow(
        `A sample has ${wrong} in words, which goes from 0 to 999.`,
      );
    }
  });
});

test('slices of a shard are views of all its tensors', () => {
  const shard = sliceShard(viewShard(write([0, 1, 2, 3]), 4, format), 1, 3);
  expect(shard).toEqual(viewShard(write([1, 2]), 2, format));
});

test('a limit keeps the first samples of all tensors', () => {
  const dataset: Dataset = {
    name: 'made',
    description: '',
    ...format,
    train: { ...split, count: 4 },
    test: { ...split, count: 4 },
  };
  const { train } = limitTrainSamples(dataset, 2);
  const sampleNumbers = new Uint32Array(2);
  const first = sliceShard({ ...split, sampleNumbers: new Uint32Array(4) }, 0, 2);
  expect({ ...train, sampleNumbers }).toEqual({ ...first, count: 2 });
  expect(asImages(dataset)).toBeNull();
});

test('a data set of images is given back as images', () => {
  const labeled = { images: new Uint8Array(8), labels: Uint8Array.of(0, 1), count: 2 };
  const images = {
    name: 'made',
    description: '',
    sampleShape: [2, 2, 1],
    classes: 2,
    train: labeled,
    test: labeled,
  };
  expect(asImages(imageDataset(images))).toEqual(images);
});

test.each<[Omit<TensorSpec, 'name' | 'shape'>, TensorValues, number[]]>([
  [{ dtype: 'uint8' }, Uint8Array.of(0, 255), [0, 255]],
  [{ dtype: 'uint8', scale: 1 / 255 }, Uint8Array.of(0, 255), [0, 1]],
  [{ dtype: 'int32', scale: 2, offset: -1 }, Int32Array.of(-3, 4), [-7, 7]],
  [{ dtype: 'float32', offset: 0.5 }, Float32Array.of(0.25, -1), [0.75, -0.5]],
  [{ dtype: 'bool', scale: 2, offset: -1 }, Uint8Array.of(0, 7), [-1, 1]],
])('values of %o are the stored ones times scale, plus offset', (spec, stored, expected) => {
  const values = new Float32Array(stored.length);
  convertTensor({ name: 'x', shape: [], ...spec }, stored, values);
  expect([...values]).toEqual(expected);
});

test('a random shard has values that its format allows, the same for the same words', () => {
  const draw = () => randomShard(format, 50, randomStream(1, Purpose.engineFingerprint));
  const shard = draw();
  expect(shard).toEqual(draw());
  expect(() => checkClasses(shard, format)).not.toThrow();
  expect(shard.inputs[2]!.every((value) => value < 2)).toBe(true);
  expect(Math.max(...shard.targets[0]!.map(Math.abs))).toBeLessThanOrEqual(0.5);
  expect(shard.weights).toEqual(new Float32Array(50).fill(1));
});

test('shapes are named if there are several', () => {
  expect(describeShapes(format.targets)).toBe('[2]');
  expect(describeShapes(format.inputs)).toBe('pixels [3] and words [2, 1] and flag []');
});
