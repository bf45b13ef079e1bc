import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { tryStep } from '../../../coordinator/model/trial-step.ts';
import type { Dataset } from '../../../shared/data/dataset.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { layerJob } from '../../support/keras-layers.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const layer = (class_name: string, config: object) => ({ class_name, config });
const sampleShape = [4, 4, 1];
const move = (name: string) => layer('RandomRotation', { name, factor: 0.1 });
const convolution = (name: string, trainable: boolean) =>
  layer('Conv2D', { name, filters: 1, kernel_size: 2, trainable });

/** Tries a step of a model of these layers between the input and a classifier. */
async function tryLayers(...layers: object[]): Promise<void> {
  const engine = await wasmEngine();
  const topology = {
    class_name: 'Sequential',
    config: {
      name: 'model',
      layers: [
        layer('InputLayer', { name: 'in', batch_input_shape: [null, ...sampleShape] }),
        ...layers,
        layer('Flatten', { name: 'flat' }),
        layer('Dense', { name: 'out', units: 3, activation: 'softmax' }),
      ],
    },
  };
  const job = await layerJob(tf, { topology, sampleShape, labels: [0] });
  const initialWeights = new Float32Array(layoutOf(job.layout).length).fill(0.1);
  const samples = { inputs: [new Uint8Array(16).fill(9)], targets: [Uint8Array.of(0)], count: 1 };
  await tryStep(engine, { job, initialWeights }, { train: samples } as unknown as Dataset);
}

test('layers that move pixels are rejected by name behind a trained layer, and only there', async () => {
  await tryLayers(move('first'), convolution('frozen', false), move('second'));
  await expect(tryLayers(move('first'), convolution('trained', true), move('second'))).rejects.toThrow(
    'Layer second (RandomRotation) has no gradient in TensorFlow.js',
  );
});
