import type { Scalar, Tensor } from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { prepareJob } from '../../../../coordinator/model/model.ts';
import type { Shard } from '../../../../shared/data/shard.ts';
import type { TF } from '../../../../shared/util/tf.ts';
import { createModelStep, type ModelStep } from '../../../../shared/engine/model-step.ts';
import { ShardInputs } from '../../../../shared/engine/shard-inputs.ts';
import type { Job, Topology } from '../../../../shared/model/job.ts';
import { sizeOf } from '../../../../shared/model/layout.ts';
import { PairwiseSum } from '../../../../shared/model/pairwise-sum.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../../../shared/random/stream.ts';
import { registerNativeGradients } from '../../../../worker-node/engine/native/gradients.ts';
import { captureStep } from '../../../../worker-node/engine/native/step-capture.ts';
import { withNative } from '../../../support/native.ts';
import { CLASSES, SAMPLE_SHAPE } from './models.ts';
import { noise } from '../../../support/noise.ts';

// Within a micro-shard all values are exact in float32, so that they have the same bits with the kernels of any processor.
// Only the sums of micro-shards are rounded, in the order that is tested.
const MICRO_SHARD = 2;
/** Ratio of the gradients of samples of neighboring labels. */
const SCALE = 2 ** 4;

const layer = (class_name: string, config: object) => ({ class_name, config });
const topology: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'exact',
    layers: [
      layer('Conv2D', {
        filters: 2,
        kernel_size: 2,
        strides: 2,
        batch_input_shape: [null, ...SAMPLE_SHAPE],
      }),
      layer('DepthwiseConv2D', { kernel_size: 2 }),
      layer('Flatten', {}),
      layer('Dense', { units: CLASSES, activation: 'softmax' }),
    ],
  },
};

/** Small integers; those of the last layer scale the gradients of all others, label by label. */
function integerWeights(shapes: readonly (readonly number[])[]): Float32Array {
  const stream = randomStream(1, Purpose.syntheticDigits);
  const last = shapes.length - 2;
  return Float32Array.from(
    shapes.flatMap((shape, tensor) =>
      Array.from({ length: sizeOf(shape) }, (_, i) => {
        const sign = tensor < last && stream.below(2) === 0 ? -1 : 1;
        return (
          sign * (tensor === last ? (1 + stream.below(63)) * SCALE ** (i % CLASSES) : 1 + stream.below(3))
        );
      }),
    ),
  );
}

/** Step whose loss is the sum of the labels' logits, so that no probability is rounded. */
function withoutSoftmax(tf: TF, modelStep: ModelStep): ModelStep {
  const { model, variables } = modelStep.built;
  return {
    ...modelStep,
    gradient: ([input], [target]) => {
      const outputs = modelStep.outputs([input as Tensor]);
      const loss = (): Scalar => tf.sum(tf.mul(model.apply(input as Tensor) as Tensor, target as Tensor));
      const { grads } = tf.variableGrads(loss, [...variables]);
      return { outputs, parts: variables.map(({ name }) => grads[name] as Tensor) };
    },
  };
}

/** Shard in which the samples of a micro-shard have the same label. */
const shardOf = (samples: number): Shard => ({
  ...noise(6, 16).shardOf(samples),
  targets: [Uint8Array.from({ length: samples }, (_, i) => (i >> 1) % CLASSES)],
});

const add = (left: Float32Array, right: Float32Array): Float32Array =>
  left.map((value, i) => value + (right[i] ?? NaN));

await withNative((native) => {
  const { tf, backend } = native;
  registerNativeGradients(tf, backend);

  test.each([4, 6, 10, 16])(
    'a graph of %d samples adds the gradients of micro-shards in the order of PairwiseSum on any processor',
    async (samples) => {
      const settings = { batchSize: 16, epochs: 1, seed: 3, topology, microShard: MICRO_SHARD };
      const prepared = await prepareJob(noise(6, 16).dataset, settings);
      // Images have integers, not fractions.
      const job: Job = { ...prepared.job, inputs: [{ ...prepared.job.inputs[0]!, scale: 1 }] };
      await tf.setBackend('tensorflow');
      const modelStep = withoutSoftmax(tf, await createModelStep(tf, job));
      const tensors = modelStep.built.variables.length;
      modelStep.built.setWeights(integerWeights(job.layout.map(({ shape }) => shape)));
      const cut = captureStep(native, job, modelStep, 'cut', samples, () => null);
      const single = captureStep(native, job, modelStep, 'gradient', MICRO_SHARD, () => null);

      const inputs = new ShardInputs(job);
      inputs.prepare(1 as Step, shardOf(samples));
      const read = (graph: typeof cut): Float32Array[] => {
        const outputs = graph.run(inputs.values(), inputs);
        const values = Array.from({ length: tensors + 1 }, (_, i) => outputs.read(i).slice());
        outputs.dispose();
        return values;
      };
      const together = read(cut);
      const each: Float32Array[][] = [];
      for (let from = 0; from < samples; from += MICRO_SHARD) {
        inputs.select(from, MICRO_SHARD);
        each.push(read(single));
      }
      const logits = each.flatMap((one) => [...one[tensors]!]);
      expect([...together[tensors]!]).toEqual(logits);

      let roundedOtherwise = 0;
      for (let tensor = 0; tensor < tensors; tensor++) {
        const gradients = each.map((one) => one[tensor]!);
        const tree = new PairwiseSum(add);
        for (const gradient of gradients) tree.push(gradient);
        const total = tree.total();
        expect(total.some((value) => value !== 0)).toBe(true);
        expect(together[tensor]).toEqual(total);
        const inARow = gradients.slice(1).reduce(add, gradients[0]!);
        roundedOtherwise += total.filter((value, i) => value !== inARow[i]).length;
      }
      // Two or three micro-shards are added from left to right in both orders.
      if (samples > 3 * MICRO_SHARD) expect(roundedOtherwise).toBeGreaterThan(0);
      cut.dispose();
      single.dispose();
      modelStep.built.dispose();
    },
  );
});
