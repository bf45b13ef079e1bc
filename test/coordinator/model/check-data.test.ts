import { expect, test } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import type { Dataset, StoredSplit } from '../../../shared/data/dataset.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';
import { dense } from '../../support/functional-model.ts';

const label: TensorSpec = { name: 'y', shape: [], dtype: 'int32', classes: 3 };
const value: TensorSpec = { name: 'y', shape: [2], dtype: 'float32' };

/** Prepares a job for two samples of a target. */
function prepare(
  target: TensorSpec,
  targets: StoredSplit['targets'],
  { weights, ...settings }: { weights?: Float32Array; loss?: string; metrics?: string[] } = {},
  units = 2,
) {
  const split: StoredSplit = {
    inputs: [new Float32Array(2)],
    targets,
    count: 2,
    ...(weights === undefined ? {} : { weights }),
  };
  const layers = [dense('out', units, 'sigmoid', { batch_input_shape: [null, 1] })];
  const dataset: Dataset = {
    name: 'made',
    description: '',
    inputs: [{ name: 'x', shape: [1], dtype: 'float32' }],
    targets: [target],
    train: { ...split, weights: undefined, targets: [split.targets[0]!.map(() => 0)] },
    test: split,
  };
  const topology = { class_name: 'Sequential', config: { name: 'm', layers } };
  return prepareJob(dataset, { batchSize: 2, epochs: 1, seed: 1, topology, ...settings });
}

const classes = { loss: 'sparse_categorical_crossentropy' };

test.each<[string, () => Promise<unknown>, string]>([
  [
    'a class that there is not',
    () => prepare(label, [Int32Array.of(0, 3)], classes, 3),
    'Test sample 1 of made has 3 in y, but goes from 0 to 2.',
  ],
  [
    'a negative class',
    () => prepare(label, [Int32Array.of(-1, 2)], classes, 3),
    'Test sample 0 of made has -1 in y',
  ],
  [
    'a class that is no whole number',
    () => prepare({ ...label, dtype: 'float32' }, [Float32Array.of(0, 1.5)], classes, 3),
    'Test sample 1 of made has 1.5 in y',
  ],
  [
    'a target that is not finite',
    () => prepare(value, [Float32Array.of(0, 1, NaN, 1)]),
    'Test sample 1 of made has NaN in y, which is not finite.',
  ],
  [
    'too few targets',
    () => prepare(value, [Float32Array.of(0, 1, 1)]),
    'y of made has 3 values, but 2 training samples have 4.',
  ],
  [
    'targets that are not those of a binary cross-entropy',
    () => prepare(value, [Float32Array.of(0, 1, 1, 2)]),
    'Test sample 1 of made has 2 in y, but binary_crossentropy takes targets of 0 to 1.',
  ],
  [
    'targets that are so after their scaling only',
    () =>
      prepare({ ...value, scale: -0.5 }, [Float32Array.of(0, 1, 0, 0)], { loss: 'categorical_crossentropy' }),
    'Test sample 0 of made has 1 in y, but categorical_crossentropy takes targets of 0 or more.',
  ],
  [
    'targets that are not those of a metric',
    () => prepare(value, [Float32Array.of(0, 1, 1, 2)], { loss: 'mse', metrics: ['f1_score'] }),
    'Test sample 1 of made has 2 in y, but f1_score takes targets of 0 to 1.',
  ],
  [
    'labels of a hinge with a third value',
    () => prepare(value, [Float32Array.of(0, 1, -1, 1)], { loss: 'hinge' }),
    'Test sample 1 of made has -1 in y, but hinge takes 0 and 1, or -1 and 1.',
  ],
  [
    'a negative weight',
    () => prepare(value, [new Float32Array(4)], { weights: Float32Array.of(1, -1) }),
    'Test sample 1 of made has -1 in weight, but weights are 0 or more.',
  ],
  [
    'too few weights',
    () => prepare(value, [new Float32Array(4)], { weights: Float32Array.of(1) }),
    'weight of made has 1 values, but 2 test samples have 2.',
  ],
])('%s is refused before a run', async (_, run, sentence) => {
  await expect(run()).rejects.toThrow(sentence);
});

test('weights of the test samples alone count, and classes may be one-hot or 0 and 1', async () => {
  const { job } = await prepare(value, [new Float32Array(4)], { weights: Float32Array.of(1, 2) });
  expect(job.sampleWeights).toBe(true);
  const oneHot = await prepare(label, [Int32Array.of(2, 1)], { loss: 'bce', metrics: ['f1_score'] }, 3);
  expect(oneHot.job.outputs[0]?.loss.name).toBe('binary_crossentropy');
  const signed = { ...value, scale: 2, offset: -1 };
  const hinge = await prepare(signed, [Float32Array.of(0, 1, 1, 1)], { loss: 'hinge' });
  expect(hinge.job.outputs[0]?.loss.name).toBe('hinge');
});
