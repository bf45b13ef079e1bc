import { describe, expect, it } from 'vitest';
import { shardBytes, writeShard } from '../../../shared/data/shard.ts';
import type { Job } from '../../../shared/model/job.ts';
import { imageTensors, type TensorValues } from '../../../shared/model/tensors.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';
import { ProtocolError } from '../../../shared/protocol/close-codes.ts';
import {
  createModelView,
  describeInputs,
  pictureSize,
  pixelsOf,
  readSamples,
  worstFirst,
} from '../../../worker-browser/page/model-view.ts';

const pictures = { ...imageTensors([4, 4, 1], 3), outputs: [classOutput('dense', 3)] } as unknown as Job;
const table = {
  inputs: [{ name: 'features', shape: [8], dtype: 'float32' }],
  targets: [{ name: 'price', shape: [], dtype: 'float32', scale: 10 }],
  outputs: [{ name: 'dense', shape: [1], loss: { name: 'mean_squared_error' } }],
} as unknown as Job;

function payloadOf(job: Job, inputs: TensorValues, targets: TensorValues, count: number): Uint8Array {
  const payload = new Uint8Array(shardBytes(count, job));
  writeShard(
    payload,
    { sampleNumbers: Uint32Array.from({ length: count }, (_, i) => i), inputs: [inputs], targets: [targets] },
    job,
  );
  return payload;
}
const samplesOf = (job: Job, inputs: TensorValues, targets: TensorValues, classNames: string[] = []) => {
  const count = targets.length;
  const message = { type: 'details', samples: count, classNames } as const;
  return readSamples(job, message, payloadOf(job, inputs, targets, count));
};

describe('the view of a model', () => {
  const samples = () =>
    samplesOf(
      pictures,
      new Uint8Array(64).map((_, i) => i),
      new Uint8Array([0, 1, 2, 1]),
    )!;
  // Right, wrong and sure, right, wrong and less sure.
  const values = Float32Array.from([0.9, 0.1, 0, 0.8, 0.1, 0.1, 0, 0, 1, 0.3, 0.2, 0.5]);

  it('counts what is right, and which class is read as which', () => {
    const view = createModelView(samples(), values)!;
    expect(view.text).toBe('2 of 4 test samples right.');
    expect(view.confusion).toEqual([
      [1, 0, 0],
      [1, 0, 1],
      [0, 0, 1],
    ]);
    expect(view.samples[1]).toMatchObject({
      index: 1,
      isRight: false,
      truth: '1',
      predicted: '0, 80%',
    });
    expect(worstFirst(view.samples).map(({ index }) => index)).toEqual([1, 3, 0, 2]);
  });

  it('uses the names of the classes', () => {
    const named = samplesOf(pictures, new Uint8Array(16), new Uint8Array([2]), ['cat', 'dog', '<b>'])!;
    const view = createModelView(named, Float32Array.from([0, 1, 0]))!;
    expect(view.samples[0]).toMatchObject({ truth: '<b>', predicted: 'dog, 100%' });
    expect(view.classNames).toEqual(['cat', 'dog', '<b>']);
  });

  it('shows pictures as they are stored', () => {
    expect(pictureSize(pictures)).toEqual([4, 4, 1]);
    expect(pictureSize(table)).toBeNull();
    const pixels = pixelsOf(samples(), 1, [4, 4, 1]);
    expect([...pixels.subarray(0, 8)]).toEqual([16, 16, 16, 255, 17, 17, 17, 255]);
    const colored = { ...pictures, ...imageTensors([4, 4, 3], 3) };
    const one = samplesOf(
      colored,
      new Uint8Array(48).map((_, i) => i),
      new Uint8Array([0]),
    )!;
    expect([...pixelsOf(one, 0, [4, 4, 3]).subarray(0, 8)]).toEqual([0, 1, 2, 255, 3, 4, 5, 255]);
  });

  it('compares predicted numbers with true ones, in the units of the data', () => {
    const rows = samplesOf(table, new Float32Array(16).fill(1.5), Float32Array.from([1, 3]))!;
    const view = createModelView(rows, Float32Array.from([10, 50]))!;
    expect(view).toMatchObject({
      kind: 'values',
      text: '2 test samples, predicted with a mean error of 10.',
      confusion: null,
      points: [
        [10, 10],
        [30, 50],
      ],
    });
    expect(view.samples.map(({ isRight }) => isRight)).toEqual([true, false]);
    expect(describeInputs(rows, 1)).toBe('1.5, 1.5, 1.5, 1.5, 1.5, 1.5, …');
  });

  it('is missing for outputs that are neither a class nor a number', () => {
    expect(createModelView(samples(), new Float32Array(4 * 5))).toBeNull();
    expect(createModelView(samples(), new Float32Array(5))).toBeNull();
    expect(
      createModelView(
        samples(),
        Float32Array.from({ length: 12 }, () => 7),
      ),
    ).toBeNull();
  });

  it('accepts no samples that do not fit the job', () => {
    expect(readSamples(pictures, { type: 'details', samples: 0 }, new Uint8Array())).toBeNull();
    const message = { type: 'details', samples: 2 } as const;
    expect(() => readSamples(pictures, message, new Uint8Array(3))).toThrow(ProtocolError);
    const outside = payloadOf(pictures, new Uint8Array(32), new Uint8Array([1, 3]), 2);
    expect(() => readSamples(pictures, message, outside)).toThrow('3');
  });
});
