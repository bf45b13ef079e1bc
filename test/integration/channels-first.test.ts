import { expect, test } from 'vitest';
import type { Topology } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { kerasDataset, kerasJob } from '../support/keras-models.ts';
import { norm } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

// Keras computes channels-first layers only on GPUs, so there are no reference figures. By definition the result equals that
// of the same layer with the channels last, which these tests compare.

const dataset = kerasDataset({ sampleShape: [9, 8, 2], samples: 4, classes: 3, models: [] });
const layer = (class_name: string, config: object) => ({ class_name, config });
const first = { data_format: 'channels_first' };

/** Model around one layer, with the channels where the layer expects them. */
function model(className: string, config: object, more: object, turned: boolean): Topology {
  const turn = layer('Permute', { name: 'turn', dims: [3, 1, 2] });
  return {
    class_name: 'Sequential',
    config: {
      name: 'm',
      layers: [
        layer('InputLayer', { name: 'in', batch_input_shape: [null, 9, 8, 2] }),
        ...(turned ? [turn] : []),
        layer(className, { name: 'tried', ...config, ...(turned ? more : {}) }),
        ...(className.startsWith('Global')
          ? []
          : [layer('Flatten', { name: 'flat', ...(turned ? first : {}) })]),
        layer('Dense', { name: 'out', units: 3, activation: 'softmax' }),
      ],
    },
  };
}

async function stepOf(topology: Topology) {
  const { job, weights } = await kerasJob(dataset, { name: '', topology, loss: 0, tensors: [] });
  const computer = await (await wasmEngine()).load(job);
  const gradient = new Float32Array(layoutOf(job.layout).length);
  computer.setWeights(weights);
  const { lossSum } = await computer.gradient(
    0 as Step,
    { ...dataset.train, sampleNumbers: Uint32Array.of(0, 1, 2, 3) },
    gradient,
  );
  computer.dispose();
  return { lossSum, gradient };
}

test.each<[string, object, object?]>([
  ['Conv2D', { filters: 3, kernel_size: [3, 2], strides: [2, 1], padding: 'same', activation: 'relu' }],
  ['Conv2DTranspose', { filters: 3, kernel_size: [3, 2], strides: [2, 1], padding: 'same' }],
  ['MaxPooling2D', { pool_size: [3, 2], strides: [2, 1], padding: 'same' }],
  ['AveragePooling2D', { pool_size: [3, 2], strides: [3, 2] }],
  ['GlobalAveragePooling2D', {}],
  ['GlobalMaxPooling2D', {}],
  ['UpSampling2D', { size: [1, 2] }],
  [
    'ZeroPadding2D',
    {
      padding: [
        [1, 0],
        [0, 2],
      ],
    },
  ],
  [
    'Cropping2D',
    {
      cropping: [
        [1, 0],
        [0, 2],
      ],
    },
  ],
  ['SpatialDropout2D', { rate: 0.5 }],
])('%s computes the same with the channels first and with the channels last', async (className, config) => {
  const last = await stepOf(model(className, config, {}, false));
  const turned = await stepOf(model(className, config, first, true));
  expect(Math.abs(turned.lossSum - last.lossSum)).toBeLessThan(1e-5);
  const difference = turned.gradient.map((value, i) => value - (last.gradient[i] ?? 0));
  expect(norm(difference) / norm(last.gradient)).toBeLessThan(1e-5);
  expect(norm(last.gradient)).toBeGreaterThan(0);
});
