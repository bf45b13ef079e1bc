import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';
import { readModel } from '../../../shared/model/saved-model.ts';
import { canOffer, modelFileName, zipModel } from '../../../worker-browser/page/model-file.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { record } from './run-fixtures.ts';

const values = Float32Array.from({ length: 6 }, (_, i) => i / 2);
const model = {
  job: exampleJob,
  names: exampleJob.layout.map((_, i) => `tensor${i}`),
  weights: new Uint8Array(values.buffer),
  classNames: ['no', 'yes'],
  epochs: [record],
};

it('is an archive that gradcast reads as it reads the folder of a run', async () => {
  const files = unzipSync(zipModel(model, '1.2.3'));
  const read = await readModel('model', {
    text: (file) => Promise.resolve(new TextDecoder().decode(files[file])),
    bytes: (file) => Promise.resolve(files[file]!),
  });
  expect(read.weights).toEqual(values);
  expect(read.job).toEqual(exampleJob);
  expect(read.metadata).toMatchObject({
    gradcast: '1.2.3',
    epochs: 1,
    val_accuracy: 0.9,
    classNames: ['no', 'yes'],
  });
});

it('is not made from weights of another model, or of a model that needs code', () => {
  expect(() => zipModel({ ...model, weights: new Uint8Array(8) }, '1')).toThrow('another model');
  expect(canOffer(exampleJob, model.names)).toBe(true);
  expect(canOffer(exampleJob, [])).toBe(false);
  const customCode = { hash: 'a'.repeat(64) } as NonNullable<typeof exampleJob.customCode>;
  expect(canOffer({ ...exampleJob, customCode }, model.names)).toBe(false);
});

it('has a name without the characters that file systems forbid', () => {
  const named = (name: string): string => modelFileName({ data: { ...exampleJob.data, name } });
  expect(named('my/data: "x"')).toBe('my-data-x--model.zip');
  expect(named('../..')).toBe('--model.zip');
  expect(named('')).toBe('model-model.zip');
});
