import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { jobSchema, receivedJobSchema } from '../../../shared/model/job.ts';
import { classOutput, upgradeJob } from '../../../shared/model/stored-job.ts';
import { exampleJob } from '../protocol/examples.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

const tensor = { name: 'x', shape: [4], dtype: 'float32' };

describe('a job', () => {
  it.each<[string, object]>([
    ['no input', { inputs: [] }],
    ['too many inputs', { inputs: Array.from({ length: 17 }, (_, i) => ({ ...tensor, name: `${i}` })) }],
    ['two inputs of one name', { inputs: [tensor, tensor] }],
    ['a shape of nine sizes', { inputs: [{ ...tensor, shape: Array<number>(9).fill(1) }] }],
    ['an empty shape', { inputs: [{ ...tensor, shape: [0] }] }],
    ['too many elements', { inputs: [{ ...tensor, shape: [2 ** 12, 2 ** 13] }] }],
    [
      'too many bytes of a sample',
      { inputs: ['a', 'b'].map((name) => ({ ...tensor, name, shape: [2 ** 24] })) },
    ],
    ['too many bytes of a batch', { inputs: [{ ...tensor, shape: [2 ** 20] }], batchSize: 256 }],
    ['an unknown dtype', { inputs: [{ ...tensor, dtype: 'float64' }] }],
    ['a scale that is not finite', { inputs: [{ ...tensor, scale: Infinity }] }],
    ['no targets', { targets: [], outputs: [] }],
    ['a target that the loss does not take', { targets: [{ ...tensor, shape: [3] }] }],
    ['an unknown loss', { outputs: [{ ...exampleJob.outputs[0], loss: { name: 'zero' } }] }],
    [
      'an option that its loss does not have',
      { outputs: [{ ...exampleJob.outputs[0], loss: { name: 'mean_squared_error', delta: 1 } }] },
    ],
    ['no classes', { targets: [{ ...tensor, classes: 0 }] }],
  ])('with %s is refused by coordinators and workers', (_, changes) => {
    expect(v.safeParse(jobSchema, { ...exampleJob, ...changes }).success).toBe(false);
    expect(v.safeParse(receivedJobSchema, { ...exampleJob, ...changes }).success).toBe(false);
  });

  it('may have scalars and sample weights', () => {
    const job = { ...exampleJob, inputs: [{ ...tensor, shape: [] }], sampleWeights: true };
    expect(v.parse(jobSchema, job)).toEqual(job);
  });

  it('of version 0.1 becomes one of this version', () => {
    const data = { ...exampleJob.data, sampleShape: [2, 1, 1], classes: 2, scale: 1 };
    const early = { ...exampleJob, inputs: undefined, targets: undefined, outputs: undefined, data };
    const { inputs, targets } = imageTensors([2, 1, 1], 2);
    expect(v.parse(jobSchema, upgradeJob(early))).toEqual({
      ...exampleJob,
      inputs: [{ ...inputs[0], scale: 1 }],
      targets,
      outputs: [classOutput('output', 2)],
    });
    expect(upgradeJob(exampleJob)).toBe(exampleJob);
  });
});
