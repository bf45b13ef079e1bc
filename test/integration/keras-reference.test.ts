import { sliceShard } from '../../shared/data/shard.ts';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { prepareJob } from '../../coordinator/model/model.ts';
import { openDataset } from '../../coordinator/data/load-dataset.ts';
import { optimizerFromKeras } from '../../coordinator/optimizer/keras-config.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { defaultTopology } from '../../shared/model/default-topology.ts';
import type { Topology } from '../../shared/model/job.ts';
import { layoutOf, type Slice } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { hashedTensor } from '../support/hashed-values.ts';
import { recordingReport } from '../support/test-coordinator.ts';
import { norm } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { imagesOf, labelsOf, storedDataset } from '../support/images.ts';

interface Reference {
  readonly steps: readonly { readonly loss: number; readonly accuracy: number }[];
  readonly tensors: readonly {
    readonly gradientAtStep0: { readonly l2: number };
    readonly final: { readonly l2: number };
  }[];
}

const reference = JSON.parse(
  readFileSync(new URL('../reference/keras-steps.json', import.meta.url), 'utf8'),
) as Reference;

/** Initial weights of test/reference/keras_steps.py: hashed kernels and zero biases. */
function referenceWeights(slices: readonly Slice[], length: number): Float32Array {
  const weights = new Float32Array(length);
  slices.forEach((slice, t) => {
    if (slice.shape.length > 1) weights.set(hashedTensor(t, '', slice), slice.offset);
  });
  return weights;
}

function withoutDropout(topology: Topology): Topology {
  const copy = structuredClone(topology) as { config: { layers: { class_name: string }[] } };
  copy.config.layers = copy.config.layers.filter((layer) => layer.class_name !== 'Dropout');
  return copy;
}

// The figures of Keras are for the first samples of real MNIST.
const needsMnist = { tags: ['mnist'], skip: process.env.MNIST_DIR === undefined };
test('ten steps without dropout equal those of Keras', needsMnist, async () => {
  const dataset = storedDataset(
    await openDataset({ data: process.env.MNIST_DIR ?? '', seed: 1 }, recordingReport()),
  );
  const topology = withoutDropout(defaultTopology([28, 28, 1], 10));
  const { job } = await prepareJob(dataset, { batchSize: 128, epochs: 1, seed: 1, topology });
  const layout = layoutOf(job.layout);
  const optimizer = createOptimizer(job.optimizer, layout);
  const { weights } = optimizer;
  weights.set(referenceWeights(layout.slices, layout.length));
  const computer = await (await wasmEngine()).load(job);
  const gradient = new Float32Array(layout.length);

  for (const [step, expected] of reference.steps.entries()) {
    const from = step * 128;
    computer.setWeights(weights);
    const { lossSum, metrics } = await computer.gradient(
      step as Step,
      {
        sampleNumbers: Uint32Array.from({ length: 128 }, (_, i) => from + i),
        inputs: [imagesOf(dataset.train).subarray(from * 784, (from + 128) * 784)],
        targets: [labelsOf(dataset.train).subarray(from, from + 128)],
      },
      gradient,
    );
    expect(Math.abs(lossSum / 128 - expected.loss)).toBeLessThan(1e-3);
    expect(metrics[0]! / 128).toBe(expected.accuracy);
    if (step === 0) {
      layout.slices.forEach(({ offset, size }, tensor) => {
        const l2 = reference.tensors[tensor]!.gradientAtStep0.l2;
        expect(norm(gradient.subarray(offset, offset + size)) / 128 / l2).toBeCloseTo(1, 4);
      });
    }
    optimizer.gradientSum.set(gradient);
    optimizer.apply({ step, samples: 128 });
  }
  layout.slices.forEach(({ offset, size }, tensor) => {
    const l2 = reference.tensors[tensor]!.final.l2;
    expect(norm(weights.subarray(offset, offset + size)) / l2).toBeCloseTo(1, 3);
  });
  computer.dispose();
});

interface AdamReference {
  readonly optimizer: unknown;
  readonly losses: number[];
  readonly regularized: {
    readonly topology: Topology;
    readonly optimizer: unknown;
    readonly losses: number[];
  };
}

const adam = JSON.parse(
  readFileSync(new URL('../reference/keras-adam-steps.json', import.meta.url), 'utf8'),
) as AdamReference;

/** Losses of steps on the first 2,048 samples of MNIST, with the penalty of the weights. */
async function trainAsKeras(topology: Topology, serialized: unknown, steps: number): Promise<number[]> {
  const dataset = storedDataset(
    await openDataset({ data: process.env.MNIST_DIR ?? '', seed: 1, limit: 2048 }, recordingReport()),
  );
  const settings = {
    batchSize: 128,
    epochs: 2,
    seed: 1,
    topology,
    optimizer: optimizerFromKeras(serialized),
  };
  const { job } = await prepareJob(dataset, settings);
  const layout = layoutOf(job.layout);
  const optimizer = createOptimizer(job.optimizer, layout);
  optimizer.weights.set(referenceWeights(layout.slices, layout.length));
  const computer = await (await wasmEngine()).load(job);
  const gradient = new Float32Array(layout.length);
  const numbers = Uint32Array.from({ length: dataset.train.count }, (_, i) => i);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const from = (step * 128) % 2048;
    computer.setWeights(optimizer.weights);
    const shard = sliceShard({ ...dataset.train, sampleNumbers: numbers }, from, from + 128);
    const { lossSum } = await computer.gradient(step as Step, shard, gradient);
    losses.push(lossSum / 128 + optimizer.penalty());
    optimizer.gradientSum.set(gradient);
    optimizer.apply({ step, samples: 128 });
  }
  computer.dispose();
  return losses;
}

test.each([
  ['Adam and a cosine schedule', withoutDropout(defaultTopology([28, 28, 1], 10)), adam],
  ['regularizers and constraints', adam.regularized.topology, adam.regularized],
])('steps with %s have the losses of Keras', needsMnist, async (_, topology, { optimizer, losses }) => {
  const actual = await trainAsKeras(topology, optimizer, losses.length);
  losses.forEach((expected, step) => {
    expect(Math.abs(actual[step]! - expected), `step ${step}`).toBeLessThan(1e-4);
  });
});
