import { describe, expect, it } from 'vitest';
import {
  describePrediction as describeOutput,
  outputReaders,
} from '../../../coordinator/predict/output-reader.ts';
import type { LossSpec } from '../../../shared/model/outputs.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';

const label = (classes: number): TensorSpec => ({ name: 'y', shape: [], dtype: 'uint8', classes });
const jobOf = (target: TensorSpec, shape: number[], name: LossSpec['name']) => ({
  targets: [target],
  outputs: [{ name: 'out', shape, loss: { name }, metrics: [] }],
});

function describePrediction(job: ReturnType<typeof jobOf>, values: ArrayLike<number>): string {
  const [reader] = outputReaders(job);
  return describeOutput(reader!, reader!.read(Float32Array.from(values)));
}

describe('the line of a prediction', () => {
  it('ranks the classes of a softmax', () => {
    const job = jobOf(label(4), [4], 'sparse_categorical_crossentropy');
    expect(describePrediction(job, [0.1, 0.6, 0.05, 0.25])).toBe('1 (60.0%)   then 3 (25.0%), 0 (10.0%)');
    expect(describePrediction(job, [0, 1 + 2 ** -23, 0, 0])).toBe('1 (100.0%)   then 0 (0.0%), 2 (0.0%)');
    expect(describePrediction(jobOf(label(2), [2], 'mean_squared_error'), [0.25, 0.75])).toBe(
      '1 (75.0%)   then 0 (25.0%)',
    );
  });

  it('takes the output of a sigmoid for the probability of class 1', () => {
    const job = jobOf(label(2), [1], 'binary_crossentropy');
    expect(describePrediction(job, [0.75])).toBe('1 (75.0%)   then 0 (25.0%)');
    expect(describePrediction(job, [0.25])).toBe('0 (75.0%)   then 1 (25.0%)');
  });

  it('has the values of outputs that are no probabilities of classes', () => {
    const value: TensorSpec = { name: 'y', shape: [2], dtype: 'float32' };
    expect(describePrediction(jobOf(value, [2], 'mean_squared_error'), [0.5, 12.34567])).toBe(
      '0.5000, 12.35',
    );
    expect(describePrediction(jobOf(label(10), [1], 'mean_squared_error'), [0.5])).toBe('0.5000');
    expect(describePrediction(jobOf(label(2), [2], 'hinge'), [-0.5, 0.75])).toBe('-0.5000, 0.7500');
    const many = { ...value, shape: [12] };
    expect(describePrediction(jobOf(many, [12], 'mean_squared_error'), new Float32Array(12))).toMatch(
      /^(0\.000, ){10}\.\.\.$/,
    );
  });
});
