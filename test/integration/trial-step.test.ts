import { describe, expect, test } from 'vitest';
import { checkModel, warnOfShardStatistics } from '../../coordinator/model/check-model.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Topology } from '../../shared/model/job.ts';
import { recordingReport } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
const layer = (class_name: string, config: object = {}) => ({ class_name, config });
const model = (...layers: object[]): Topology => ({
  class_name: 'Sequential',
  config: {
    name: 'm',
    layers: [
      layer('InputLayer', { name: 'in', batch_input_shape: [null, 28, 28, 1] }),
      ...layers,
      layer('Flatten', { name: 'flat' }),
      layer('Dense', { name: 'out', units: 10, activation: 'softmax' }),
    ],
  },
});
const conv = layer('Conv2D', { name: 'conv', filters: 2, kernel_size: 3 });
const normalization = layer('BatchNormalization', { name: 'norm' });

async function check(
  topology: Topology,
  microShard?: number,
  engine: () => Promise<Engine> = wasmEngine,
): Promise<string[]> {
  const report = recordingReport();
  const prepared = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1, topology, microShard });
  await checkModel(
    { ...prepared, dataset },
    true,
    { openCoordinatorEngine: async () => ({ engine: await engine(), close: () => Promise.resolve() }) },
    report,
  );
  return report.lines;
}

describe('before a run begins', () => {
  test('a trainable model passes', async () => {
    expect(await check(model(conv, normalization))).toEqual([]);
  });

  test('a model that cannot be built is rejected with the name of the layer and the reason', async () => {
    await expect(
      check(model(layer('Dense', { name: 'wide', units: 2 }), layer('LSTM', { name: 'memory', units: 2 }))),
    ).rejects.toThrow('Layer memory (LSTM) takes an input of 2 axes, but gets one of 3. Change the model.');
    await expect(check(model(layer('Reshape', { name: 'shape', target_shape: [5, 5] })))).rejects.toThrow(
      'Layer shape (Reshape) gets an input of another size than its target_shape. Change the model.',
    );
  });

  test('a model that an engine cannot compute is rejected without words of TensorFlow', async () => {
    const broken = await wasmEngine();
    const failing: Engine = {
      ...broken,
      load: () => Promise.reject(new Error("Kernel 'Turn' not registered for backend 'wasm'")),
    };
    await expect(check(model(conv), undefined, () => Promise.resolve(failing))).rejects.toThrow(
      'The model has a layer that needs an operation that WebAssembly workers do not have. Change the model.',
    );
  });

  test('weights without a finite first step are rejected', async () => {
    const huge = layer('Dense', {
      name: 'huge',
      units: 2,
      kernel_initializer: layer('Constant', { value: 3e38 }),
    });
    await expect(
      check(model(layer('Reshape', { name: 'row', target_shape: [1, 1, 784] }), huge)),
    ).rejects.toThrow("The model's first step has no finite loss or gradient");
  });

  test('a model of frozen layers alone is rejected', async () => {
    const frozen = { class_name: 'Sequential', config: { ...(model().config as object), trainable: false } };
    await expect(check(frozen)).rejects.toThrow('Every layer of the model is frozen or without weights');
  });

  test('batch normalization with micro-shards of one sample is rejected', async () => {
    await expect(check(model(normalization), 1)).rejects.toThrow(
      'which learns nothing from micro-shards of one sample',
    );
    expect(await check(model(layer('BatchNormalization', { name: 'norm', trainable: false })), 1)).toEqual(
      [],
    );
  });

  test('the report says how the model was read', async () => {
    expect(await check(model(layer('Rescaling', { name: 'r', scale: 1 / 255 })))).toEqual([
      '! The model starts with a Rescaling layer, so its input is pixels from 0 to 255.',
    ]);
  });
});

describe('a warning of batch normalization if batches are computed in parts', () => {
  const train = { command: 'train', workers: 1, host: '127.0.0.1' } as const;
  const warned = async (
    flags: Parameters<typeof warnOfShardStatistics>[1],
    topology: Topology,
    microShard?: number,
  ) => {
    const report = recordingReport();
    const { job } = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1, topology, microShard });
    warnOfShardStatistics(job, flags, report);
    return report.lines;
  };

  test.each([
    [{ ...train, workers: 2 }, undefined],
    [{ ...train, host: '0.0.0.0' }, undefined],
    [{ ...train, command: 'coordinator', workers: 0 } as const, undefined],
    [train, 16],
  ])('is given for %j with micro-shards of %j', async (flags, microShard) => {
    const [line] = await warned(flags, model(normalization), microShard);
    expect(line).toContain('per-shard statistics');
  });

  test('is not given for one worker alone, nor for a model without batch normalization', async () => {
    expect(await warned(train, model(normalization))).toEqual([]);
    expect(await warned({ ...train, workers: 4 }, model(conv))).toEqual([]);
  });
});
