import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { prepareJob } from '../../../../coordinator/model/model.ts';
import { codecKernels } from '../../../../shared/codec/kernels/simd.ts';
import type { Shard } from '../../../../shared/data/shard.ts';
import type { GradientComputer } from '../../../../shared/engine/engine.ts';
import { withMicroShards, microShardSizes } from '../../../../shared/engine/micro-shards.ts';
import { createModelStep, type ModelStep } from '../../../../shared/engine/model-step.ts';
import { PairwiseSum } from '../../../../shared/model/pairwise-sum.ts';
import type { Topology } from '../../../../shared/model/job.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../../../shared/random/stream.ts';
import { createCapturedGradientComputer } from '../../../../worker-node/engine/native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../../../../worker-node/engine/native/gradients.ts';
import { NativePairwiseSum, NativeTensors } from '../../../../worker-node/engine/native/native-tensors.ts';
import { manualIdle } from '../../../../worker-node/engine/native/idle-scheduler.ts';
import { addMatchesReference } from '../../../../worker-node/engine/native/rounding-check.ts';
import { withNative } from '../../../support/native.ts';
import { models } from './models.ts';
import { noise } from '../../../support/noise.ts';
import { variantOf, type Variant } from './tensorflow-variants.ts';

const MICRO_SHARD = 2;
const { dataset, shardOf } = noise(6, 16);
const stream = randomStream(7, Purpose.syntheticDigits);

/** Variants of TensorFlow. Exact mode depends on processor, build and environment; each variant forces one result of a check. */
const variants: Record<string, Variant> = {
  'installed TensorFlow': {},
  'one graph for all micro-shards has other bits': { otherBits: 'cut' },
  'a graph that adds has other bits': { otherBits: 'added' },
  'AddV2 flushes subnormal values': { addition: 'flushing' },
  'AddV2 keeps subnormal values': { addition: 'keeping' },
};

/** Whether one graph for all micro-shards is captured: there are several, and none is short. */
const isCut = (samples: number): boolean => samples > MICRO_SHARD && samples % MICRO_SHARD === 0;

/** Notes of failed checks; any other note means that a graph could not be captured. */
const CHECK_FAILED = {
  cut: 'A shard runs micro-shard by micro-shard, because it cannot be captured as a graph: the graph has other bits.',
  added:
    'The sum of two gradients runs op by op, because it cannot be captured as a graph: the graph adds with other bits.',
};

await withNative((native) => {
  const { tf, backend } = native;
  const { binding } = backend;
  registerNativeGradients(tf, backend);
  const handles = (): number => (binding as unknown as { getNumOfTensors(): number }).getNumOfTensors();

  const sessions = (): number =>
    (binding as unknown as { getNumOfSavedModels(): number }).getNumOfSavedModels();

  afterEach(() => {
    backend.binding = binding;
  });

  async function setUp(
    topology: Topology,
    {
      variant = {},
      change = (same) => same,
    }: { variant?: Variant; change?: (modelStep: ModelStep) => ModelStep } = {},
  ) {
    const settings = { batchSize: 16, epochs: 1, seed: 3, topology, microShard: MICRO_SHARD };
    const { job, initialWeights } = await prepareJob(dataset, settings);
    await tf.setBackend('tensorflow');
    // The variant replaces the backend's own binding, through which captured graphs run as well as tfjs.
    const { binding: changed, runs } = variantOf(binding, MICRO_SHARD, variant);
    backend.binding = changed;
    const modelStep = change(await createModelStep(tf, job));
    const notes: string[] = [];
    const idle = manualIdle();
    const computer = createCapturedGradientComputer(native, job, modelStep, {
      idle,
      note: (line) => void notes.push(line),
    });
    computer.setWeights(initialWeights);
    const exact = withMicroShards(computer, job);
    const reference = withMicroShards({ ...computer, gradientInMicroShards: () => null }, job);
    const compute = async (how: GradientComputer, step: number, shard: Shard) => {
      const gradient = new Float32Array(initialWeights.length);
      const { lossSum, metrics } = await how.gradient(step as Step, shard, gradient);
      return { lossSum, metrics, bits: createHash('sha256').update(gradient).digest('hex') };
    };

    /** Graphs that a shard must run, by the results of the checks. */
    const expectedRuns = (samples: number): string[] => {
      const adds = 'gradientInMicroShards' in computer;
      const adding = adds && !notes.includes(CHECK_FAILED.added);
      const cuts = adds && isCut(samples) && !notes.some((note) => note.startsWith('A shard runs'));
      if (cuts) return [`cut ${samples}`];
      return microShardSizes(samples, MICRO_SHARD).map(
        (part, i) => `${adding && i % 2 === 1 ? 'added' : 'gradient'} ${part}`,
      );
    };

    return {
      computer,
      initialWeights,
      idle,
      notes,
      exact,
      reference,
      compute,
      /** Computes a shard in TensorFlow, and expects the graphs that the checks allow, and the bits of micro-shards added in JavaScript. */
      expectExact: async (step: number, shard: Shard): Promise<void> => {
        exact.prepare(step as Step, shard);
        runs.length = 0;
        const computed = await compute(exact, step, shard);
        expect([...runs]).toEqual(expectedRuns(shard.sampleNumbers.length));
        expect(computed).toEqual(await compute(reference, step, shard));
      },
    };
  }

  const cases = [
    ...["the seed's CNN", 'strides and same padding', 'average pooling'].flatMap((model) =>
      [4, 6, 7, 8, 10, 16].map((samples) => ['installed TensorFlow', model, samples] as const),
    ),
    ...[3, 6, 10].map((samples) => ['installed TensorFlow', 'batch normalisation', samples] as const),
    ...Object.keys(variants).flatMap((variant) =>
      [2, 7, 16].map((samples) => [variant, "the seed's CNN", samples] as const),
    ),
  ];
  test.each(cases)(
    '%s: %s, %d samples: the gradient has the bits of its micro-shards and runs the checked graphs',
    async (name, model, samples) => {
      const open = sessions();
      const variant = variants[name] ?? {};
      const set = await setUp(models[model]!(), { variant });
      const shard = shardOf(samples);
      await set.compute(set.exact, 0, shard);
      set.idle.run();

      const adds = 'gradientInMicroShards' in set.computer;
      const failed = set.notes.filter((note) => !note.includes(': a gradient by '));
      // The result may depend on the processor, but only through a check; a check must find what a variant forces.
      for (const note of failed) expect(Object.values(CHECK_FAILED)).toContain(note);
      if (variant.addition !== undefined) expect(adds).toBe(variant.addition === 'flushing');
      if (variant.otherBits === 'cut' && adds && isCut(samples)) expect(failed).toContain(CHECK_FAILED.cut);
      if (variant.otherBits === 'added' && adds) expect(failed).toContain(CHECK_FAILED.added);

      const before = handles();
      for (const step of [1, 2, 3]) await set.expectExact(step, shard);
      expect([set.idle.pending(), handles()]).toEqual([0, before]);
      set.computer.dispose();
      expect(sessions()).toBe(open);
    },
  );

  test.each(['batch normalisation', 'an LSTM'])(
    '%s: gradients that are not single sums over samples are computed by micro-shards, with a note',
    async (name) => {
      const set = await setUp(models[name]!(), { variant: { addition: 'flushing' } });
      const shard = shardOf(6);
      await set.compute(set.exact, 0, shard);
      expect(set.idle.pending()).toBe(1);
      set.idle.run();
      expect(set.notes.filter((note) => note !== CHECK_FAILED.added)).toEqual([
        expect.stringMatching(/^A shard runs micro-shard by micro-shard, because .+: a gradient .+\.$/),
      ]);
      await set.expectExact(1, shard);
      expect(set.idle.pending()).toBe(0);
      set.computer.dispose();
    },
  );

  /** Computes other values for 4 samples together than for 2 and 2, unless all logits are zero. */
  const dependent = (modelStep: ModelStep): ModelStep => ({
    ...modelStep,
    gradient: (...parameters) => {
      const result = modelStep.gradient(...parameters);
      const outputs = result.outputs.map((output) => tf.add(output, tf.mul(tf.max(output), 1e-3)));
      tf.dispose(result.outputs);
      return { ...result, outputs };
    },
  });

  test.each(['its initial weights', 'weights of zero'])(
    'a graph of all micro-shards that has other bits, checked while the model has %s, is not used',
    async (weights) => {
      const variant = { addition: 'flushing' } as const;
      const set = await setUp(models['average pooling']!(), { variant, change: dependent });
      const shard = shardOf(4);
      if (weights === 'weights of zero') set.computer.setWeights(new Float32Array(set.initialWeights.length));
      await set.compute(set.exact, 0, shard);
      const openSessions = sessions();
      const openHandles = handles();
      set.idle.run();
      expect(set.notes).toContain(CHECK_FAILED.cut);
      expect(sessions()).toBe(openSessions);
      expect(handles()).toBe(openHandles);
      set.computer.setWeights(set.initialWeights);
      await set.expectExact(1, shard);
      set.computer.dispose();
    },
  );

  test('checking a graph does not change the weights', async () => {
    const variant = { addition: 'flushing' } as const;
    const set = await setUp(models["the seed's CNN"]!(), { variant });
    const shard = shardOf(8);
    // The first graphs are captured and checked before this gradient is computed.
    const first = await set.compute(set.exact, 1, shard);
    set.idle.run();
    const again = await set.compute(set.exact, 1, shard);
    set.computer.setWeights(set.initialWeights);
    expect(first).toEqual(await set.compute(set.exact, 1, shard));
    expect(again).toEqual(first);
    set.computer.dispose();
  });

  test('gradients that cannot be captured are added in JavaScript, and no tensor is left in TensorFlow', async () => {
    const set = await setUp(models['average pooling']!(), {
      change: (modelStep) => ({
        ...modelStep,
        gradient: (...parameters) => {
          const found = modelStep.gradient(...parameters);
          const outputs = found.outputs.map((output) => tf.add(output, tf.scalar(output.dataSync()[0]! * 0)));
          tf.dispose(found.outputs);
          return { ...found, outputs };
        },
      }),
    });
    const shard = shardOf(7);
    const { exact, reference } = set;
    await set.compute(exact, 0, shard);
    const before = handles();
    expect(await set.compute(exact, 1, shard)).toEqual(await set.compute(reference, 1, shard));
    expect([set.notes, handles()]).toEqual([[expect.stringContaining('values that are read back')], before]);
    set.computer.dispose();
  });

  test('the check of AddV2 detects how it treats subnormal values', () => {
    const found = (['flushing', 'keeping'] as const).map((addition) =>
      addMatchesReference(variantOf(binding, MICRO_SHARD, { addition }).binding, [[3, 5], [2000]]),
    );
    expect(found).toEqual([true, false]);
  });

  const additions = (['installed TensorFlow', 'AddV2 flushes subnormal values'] as const).flatMap((name) =>
    [1, 2, 3, 5, 8, 13].map((count) => [name, count] as const),
  );
  test.each(additions)('%s: %d tensors of any bits have the same sum as PairwiseSum', (name, count) => {
    const adder = variantOf(binding, MICRO_SHARD, variants[name] ?? {}).binding;
    const before = handles();
    const shape = [41, 129];
    const length = 41 * 129;
    const vectors = Array.from({ length: count }, (_, i) =>
      Float32Array.from({ length }, () => {
        // Values of similar size, so that differences become subnormal.
        const size = (1 + stream.below(1 << 20) / 2 ** 20) * 2 ** (-127 + stream.below(i % 2 === 0 ? 2 : 30));
        return stream.below(2) === 0 ? size : -size;
      }),
    );
    const exact = new NativePairwiseSum(1);
    const reference = new PairwiseSum((left: Float32Array, right: Float32Array) => {
      const sum = new Float32Array(length);
      codecKernels.addFlushToZero(left, right, sum);
      return sum;
    });
    for (const values of vectors) {
      const id = adder.createTensor(shape, adder.TF_FLOAT, values);
      exact.push(new NativeTensors(adder, [{ id, shape, dtype: adder.TF_FLOAT }]));
      reference.push(values);
    }
    const sum = exact.total().read(0);
    const expected = reference.total();
    exact.dispose();
    // If the check fails, exact mode does not add in TensorFlow, and these sums may differ.
    const checked = addMatchesReference(adder, [shape]);
    expect(checked && !Buffer.from(sum.buffer).equals(Buffer.from(expected.buffer))).toBe(false);
    expect(handles()).toBe(before);
  });
});
