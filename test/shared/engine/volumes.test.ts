import { expect, test } from 'vitest';
import { wasmEngine } from '../../support/wasm-engine.ts';
import { computeLayers } from './layer-gradients.ts';

interface Case {
  readonly kind: string;
  readonly sample: number[];
  readonly config: object;
  readonly output: number[];
  readonly gradients: number[][];
}

const same = { padding: 'same' };

/** Figures of Keras 3.15.1 for the sample 0, 7, 14, ... modulo its size, and weights -1, 0, 1, 2, 3, -1, ... */
const cases: Case[] = [
  {
    kind: 'AveragePooling3D',
    sample: [4, 1, 1, 1],
    config: { pool_size: 1, strides: 2, ...same },
    output: [0, 2],
    gradients: [[1, 0, 2, 0]],
  },
  {
    kind: 'MaxPooling3D',
    sample: [1, 8, 1, 2],
    config: { pool_size: 2, strides: [1, 4, 1], ...same },
    output: [14, 7, 8, 15],
    gradients: [[0, 2, 1, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0]],
  },
  {
    kind: 'AveragePooling3D',
    sample: [1, 8, 3, 1],
    config: { pool_size: [1, 2, 2], strides: [1, 4, 2], ...same },
    output: [8, 12.5, 14, 12.5],
    gradients: [
      [0.25, 0.25, 1, 0.25, 0.25, 1, 0, 0, 0, 0, 0, 0, 0.75, 0.75, 2, 0.75, 0.75, 2, 0, 0, 0, 0, 0, 0],
    ],
  },
  {
    kind: 'Conv3D',
    sample: [6, 1, 1, 1],
    config: { filters: 1, kernel_size: [2, 1, 1], strides: [3, 1, 1], ...same },
    output: [-1, -4],
    gradients: [[-1, 0, 0, -2, 0, 0], [6, 9], [3]],
  },
  {
    kind: 'Conv3D',
    sample: [1, 1, 6, 2],
    config: { filters: 2, groups: 2, kernel_size: 1, strides: 4, ...same },
    output: [-1, 0, -9, 0],
    gradients: [
      [-1, 0, 0, 0, 0, 0, 0, 0, -3, 0, 0, 0],
      [24, 26],
      [4, 6],
    ],
  },
  {
    kind: 'ConvLSTM3D',
    sample: [1, 4, 1, 1, 1],
    config: {
      filters: 1,
      kernel_size: 1,
      strides: 2,
      activation: 'linear',
      recurrent_activation: 'linear',
      use_bias: false,
      ...same,
    },
    output: [0, -16],
    gradients: [
      [0, 0, -48, 0],
      [32, 0, -32, -16],
      [0, 0, 0, 0],
    ],
  },
];

/** Windows that a kernel of tfjs for the gradient of filters misses. */
const lastWindows: Case[] = [
  {
    kind: 'Conv3D',
    sample: [5, 1, 1, 1],
    config: { filters: 1, kernel_size: [3, 1, 1], strides: [2, 1, 1], ...same },
    output: [1, -2, -2],
    gradients: [[0, -1, 0, -1, 0], [7, 17, 4], [6]],
  },
  {
    kind: 'Conv3D',
    sample: [5, 1, 1, 1],
    config: { filters: 1, kernel_size: [2, 1, 1], strides: [3, 1, 1], padding: 'valid' },
    output: [-1, -2],
    gradients: [[-1, 0, 0, -2, 0], [2, 8], [3]],
  },
];

const compute = async ({ kind, config, sample }: Case) => {
  await wasmEngine();
  const size = sample.reduce((product, side) => product * side, 1);
  return computeLayers(
    [{ class_name: kind, config: { name: 'layer', ...config } }],
    sample,
    Array.from({ length: size }, (_, i) => (i * 7) % size),
    (i) => (i % 5) - 1,
  );
};

test.each(cases)(
  'windows of $kind $config that are smaller than the stride are those of Keras',
  async (each) => {
    const { output, gradients } = await compute(each);
    expect(output).toEqual(each.output);
    // Also -0 is 0.
    expect(gradients.map((gradient) => gradient.map((value) => value + 0))).toEqual(each.gradients);
  },
);

test.each(lastWindows)('the gradient of the filter of Conv3D $config has its last windows', async (each) => {
  const { output, gradients } = await compute(each);
  expect(output).toEqual(each.output);
  expect(gradients).toEqual(each.gradients);
});
