import { describe, expect, test } from 'vitest';
import { prepareJob } from '../../coordinator/model/model.ts';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Topology } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import type { ShardResult } from '../../shared/engine/engine.ts';
import {
  datasetOf,
  gradientCases,
  kerasLosses,
  measureLossGradient,
  type KerasLosses,
} from '../support/keras-losses.ts';
import { sliceShard } from '../../shared/data/shard.ts';
import { dense, twoInputsTwoOutputs } from '../support/functional-model.ts';
import { norm } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const { runs } = kerasLosses();

describe('the gradient of a dense layer on WebAssembly is that of Keras', () => {
  test.each(gradientCases())('for the loss %s behind %s, %s weights', async (_, __, ___, each) => {
    const { loss, gradient } = await measureLossGradient(wasmEngine, each);
    expect(loss).toBeLessThan(1e-5);
    expect(gradient).toBeLessThan(1e-4);
  });
});

/** Topologies of the runs of test/reference/keras_losses.py. */
const topologies: Readonly<Record<string, Topology>> = {
  regression: {
    class_name: 'Sequential',
    config: {
      name: 'm',
      layers: [dense('hidden', 8, 'tanh', { batch_input_shape: [null, 6] }), dense('out', 2, 'linear')],
    },
  },
  'multi-label': {
    class_name: 'Sequential',
    config: {
      name: 'm',
      layers: [dense('hidden', 8, 'tanh', { batch_input_shape: [null, 6] }), dense('out', 4, 'sigmoid')],
    },
  },
  'two inputs and outputs': twoInputsTwoOutputs,
};

const BATCH = 12;

function runData({
  sizes,
  units,
  losses,
  inputs: values,
  targets,
}: KerasLosses['runs'][number]): StoredDataset {
  const isClass = (i: number): boolean => losses[i]!.startsWith('sparse');
  const count = values[0]!.length / sizes[0]!;
  return datasetOf(
    {
      inputs: sizes.map((size, i) => ({ name: `x${i}`, shape: [size], dtype: 'float32' })),
      targets: units.map((size, i) =>
        isClass(i)
          ? { name: `y${i}`, shape: [], dtype: 'int32', classes: size }
          : { name: `y${i}`, shape: [size], dtype: 'float32' },
      ),
    },
    {
      inputs: values.map((each) => Float32Array.from(each)),
      targets: targets.map((each, i) => (isClass(i) ? Int32Array.from(each) : Float32Array.from(each))),
      count,
    },
  );
}

describe('twenty steps beside Keras from equal weights and batches', () => {
  const cases = runs.flatMap((run) =>
    [[12], [5, 4, 3], [1, 10, 1]].map((parts) => [run.name, parts, run] as const),
  );
  test.each(cases)('%s, shards of %j samples: the losses are those of Keras', async (name, parts, run) => {
    const dataset = runData(run);
    const { job } = await prepareJob(dataset, {
      batchSize: BATCH,
      epochs: 1,
      seed: 1,
      topology: topologies[name],
      loss: run.losses,
      lossWeights: run.lossWeights,
      metrics: [],
    });
    const scoring = new Scoring(job);
    const computer = await (await wasmEngine()).load(job);
    const weights = Float32Array.from(run.weights.flat());
    const { length } = layoutOf(job.layout);
    expect(weights.length).toBe(length);
    const all = {
      ...dataset.train,
      sampleNumbers: Uint32Array.from({ length: dataset.train.count }, (_, i) => i),
    };
    for (const [step, expected] of run.values.entries()) {
      computer.setWeights(weights.slice());
      const total = new Float64Array(length);
      const scores: ShardResult[] = [];
      let from = step * BATCH;
      for (const size of parts) {
        const gradient = new Float32Array(length);
        scores.push(await computer.gradient(step as Step, sliceShard(all, from, from + size), gradient));
        gradient.forEach((value, i) => (total[i] = total[i]! + value));
        from += size;
      }
      const lossSum = scores.reduce((sum, score) => sum + score.lossSum, 0);
      expect(Math.abs(lossSum / BATCH - expected.loss!), `step ${step}`).toBeLessThan(1e-4);
      const sums = scoring.zero.metrics.map((_, i) =>
        scores.reduce((sum, { metrics }) => sum + metrics[i]!, 0),
      );
      for (const [metric, value] of Object.entries(scoring.values({ metrics: sums }, BATCH))) {
        expect(Math.abs(value - expected[metric]!), `${metric} of step ${step}`).toBeLessThan(1e-4);
      }
      weights.forEach((value, i) => (weights[i] = value - (0.05 * total[i]!) / BATCH));
    }
    computer.dispose();
    expect(norm(weights.map((value, i) => value - run.trained[i]!)) / norm(weights)).toBeLessThan(1e-4);
  });
});
