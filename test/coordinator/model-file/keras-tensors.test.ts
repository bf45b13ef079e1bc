import { describe, expect, test } from 'vitest';
import { kerasTensors } from '../../../coordinator/model-file/keras-tensors.ts';
import { kerasDataset, kerasJob, kerasModels } from '../../support/keras-models.ts';

const reference = kerasModels();
const dataset = kerasDataset(reference);

describe('the tensors of a model in Keras are those of the built model', () => {
  test.each(reference.models.map((model) => [model.name, model] as const))('%s', async (_, model) => {
    const { names, job } = await kerasJob(dataset, model);
    const tensors = kerasTensors(model.topology);
    const named = (name: string) => tensors.find((tensor) => tensor.name === name);
    expect(tensors.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    expect(new Set(tensors.map(({ path }) => path)).size).toBe(tensors.length);
    expect(names.map((name) => named(name)?.trainable)).toEqual(job.layout.map(({ trainable }) => trainable));
  });
});
