import { describe, expect, test } from 'vitest';
import { placeOptimizerState } from '../../../coordinator/model/optimizer-state.ts';
import type { OptimizerSettings } from '../../../shared/model/optimizer-settings.ts';

/** A model of two layers, the first of which is frozen. */
const topology = {
  class_name: 'Sequential',
  config: {
    name: 'm',
    layers: [
      {
        class_name: 'Dense',
        config: { name: 'a', units: 2, batch_input_shape: [null, 1], trainable: false },
      },
      { class_name: 'Dense', config: { name: 'b', units: 1 } },
    ],
  },
};
// tfjs may order the tensors otherwise than Keras.
const names = ['b/bias', 'b/kernel', 'a/kernel', 'a/bias'];
const layout = [
  { shape: [1], trainable: true },
  { shape: [2, 1], trainable: true },
  { shape: [1, 2], trainable: false },
  { shape: [2], trainable: false },
];
const adam = {
  name: 'adam',
  learningRate: 1,
  beta1: 0.9,
  beta2: 0.9,
  epsilon: 0,
  amsgrad: false,
} as const satisfies OptimizerSettings;
const tensor = (shape: number[], ...values: number[]) => ({ shape, values: Float32Array.from(values) });
const tensors = [tensor([2, 1], 1, 2), tensor([2, 1], 3, 4), tensor([1], 5), tensor([1], 6)];
const place = (optimizer: OptimizerSettings, own = tensors, iterations = 3) =>
  placeOptimizerState({ iterations, tensors: own }, { optimizer, layout }, topology, names);

describe('the state of an optimizer of Keras', () => {
  test('is placed in the order of the layout, with or without a learning rate before it', () => {
    const expected = {
      iterations: 3,
      vectors: {
        momentum: Float32Array.of(5, 1, 2, 0, 0, 0, 0),
        velocity: Float32Array.of(6, 3, 4, 0, 0, 0, 0),
      },
      sentence: "The optimizer of the model's file goes on after its 3 steps.",
    };
    expect(place(adam)).toEqual(expected);
    expect(place(adam, [tensor([], 0.1), ...tensors])).toEqual(expected);
    const [first, , third] = tensors;
    const sgd = { name: 'sgd', learningRate: 1, momentum: 0.9, nesterov: false } as const;
    expect(place(sgd, [first!, third!], 1)).toEqual({
      iterations: 1,
      vectors: { momentum: Float32Array.of(5, 1, 2, 0, 0, 0, 0) },
      sentence: "The optimizer of the model's file goes on after its first step.",
    });
    // Keras 2 saves a momentum that is not used.
    expect(place({ ...sgd, momentum: 0 }, [first!, third!])).toMatchObject({ iterations: 3, vectors: {} });
    expect(place(adam, tensors, 0)).toBeNull();
  });

  test.each<[string, OptimizerSettings, typeof tensors, string]>([
    ['a maximum', { ...adam, amsgrad: true }, tensors, 'the state of adam with these settings is not read.'],
    ['an average', { ...adam, ema: { momentum: 0.9 } }, tensors, 'the state of adam with'],
    ['an accumulation', { ...adam, accumulate: 2 }, tensors, 'the state of adam with'],
    ['nadam', { ...adam, name: 'nadam' }, tensors, 'the state of nadam with'],
    ['too few tensors', adam, tensors.slice(1), 'its state does not fit the trained tensors.'],
    ['too many tensors', adam, [...tensors, ...tensors], 'its state does not fit'],
    ['other shapes', adam, [...tensors.slice(0, 3), tensor([2], 1, 2)], 'its state does not fit'],
    [
      'a value that is not finite',
      adam,
      [...tensors.slice(0, 3), tensor([1], NaN)],
      'its state does not fit',
    ],
  ])('with %s starts anew', (_, optimizer, own, reason) => {
    expect(place(optimizer, own)).toMatchObject({
      iterations: 0,
      vectors: {},
      sentence: expect.stringContaining(
        `The optimizer of the model's file starts anew: ${reason}`,
      ) as unknown,
    });
  });
});
