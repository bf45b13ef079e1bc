import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { prepareJob } from '../../coordinator/model.ts';
import { codecKernels } from '../../shared/codec/kernels/simd.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Trainer } from '../../shared/engine/engine.ts';
import { inMicroShards } from '../../shared/engine/micro-shards.ts';
import { createModelStep, type ModelStep } from '../../shared/engine/model-step.ts';
import { TreeSum } from '../../shared/model/sum-tree.ts';
import type { Topology } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import type { Binding, Native } from '../../worker-node/engine/native/backend.ts';
import { createCapturedTrainer } from '../../worker-node/engine/native/captured-trainer.ts';
import { registerNativeGradients } from '../../worker-node/engine/native/gradients.ts';
import { HeldSum, HeldTensors } from '../../worker-node/engine/native/held-tensors.ts';
import { idleWhenTold } from '../../worker-node/engine/native/idle.ts';
import { addsAsDefined } from '../../worker-node/engine/native/telling-sums.ts';
import { withNative } from '../support/native.ts';
import { models } from './native-models.ts';
import { noise } from './noise.ts';

const { dataset, shardOf } = noise(6, 16);
const stream = randomStream(7, Purpose.drawnDigits);

await withNative((native) => {
  const { tf, backend } = native;
  const { binding } = backend;
  registerNativeGradients(tf, backend);
  const handles = (): number => (binding as unknown as { getNumOfTensors(): number }).getNumOfTensors();

  const sessions = (): number =>
    (binding as unknown as { getNumOfSavedModels(): number }).getNumOfSavedModels();

  async function setUp(
    topology: Topology,
    on: Native = native,
    change: (modelStep: ModelStep) => ModelStep = (same) => same,
  ) {
    const settings = { batchSize: 16, epochs: 1, seed: 3, topology, microShard: 2 };
    const { job, initialWeights } = await prepareJob(dataset, settings);
    await tf.setBackend('tensorflow');
    const modelStep = change(await createModelStep(tf, job));
    const notes: string[] = [];
    const idle = idleWhenTold();
    const trainer = createCapturedTrainer(on, job, modelStep, {
      idle,
      note: (line) => void notes.push(line),
    });
    trainer.setWeights(initialWeights);
    /** Whether it added in TensorFlow, shard by shard. */
    const heard: boolean[] = [];
    const inTensorFlow: Trainer = {
      ...trainer,
      gradientInMicroShards: (...given) => {
        const result = trainer.gradientInMicroShards?.(...given) ?? null;
        heard.push(result !== null);
        return result;
      },
    };
    return {
      trainer,
      idle,
      notes,
      heard,
      held: inMicroShards(inTensorFlow, job),
      here: inMicroShards({ ...trainer, gradientInMicroShards: () => null }, job),
      compute: async (how: Trainer, step: number, shard: Shard) => {
        const gradient = new Float32Array(initialWeights.length);
        const { lossSum, correct } = await how.gradient(step as Step, shard, gradient);
        return { lossSum, correct, bits: createHash('sha256').update(gradient).digest('hex') };
      },
    };
  }

  const kinds = ["the seed's CNN", 'batch normalisation'].flatMap((name) =>
    [
      [1, 2],
      [2, 2],
      [3, 4],
      [6, 2],
      [7, 4],
      [10, 2],
      [16, 2],
    ].map(([samples, graphs]) => [name, samples!, graphs!] as const),
  );
  test.each(kinds)(
    '%s, %d samples in micro-shards of 2: added in TensorFlow as here, to the bit',
    async (name, samples, graphs) => {
      const set = await setUp(models[name]!());
      const shard = shardOf(samples);
      const { held, here } = set;
      await set.compute(held, 0, shard);
      await set.compute(here, 0, shard);
      const before = handles();
      for (const step of [1, 2]) {
        held.prepare(step as Step, shard);
        expect(await set.compute(held, step, shard)).toEqual(await set.compute(here, step, shard));
      }
      expect([set.heard, set.notes]).toEqual([[true, true, true], []]);
      // Of each size one graph, and one that adds.
      expect(sessions()).toBe(graphs);
      expect(handles()).toBe(before);
      set.trainer.dispose();
    },
  );

  const sizes = [4, 6, 8, 10, 16];
  const cut = ["the seed's CNN", 'strides and same padding', 'average pooling'];
  test.each(cut.flatMap((name) => sizes.map((samples) => [name, samples] as const)))(
    '%s, %d samples: one graph for all micro-shards gives their bits',
    async (name, samples) => {
      const set = await setUp(models[name]!());
      const shard = shardOf(samples);
      const { held, here } = set;
      await set.compute(held, 0, shard);
      const oneByOne = sessions();
      expect(set.idle.waiting()).toBe(1);
      set.idle.run();
      expect([set.notes, sessions()]).toEqual([[], oneByOne + 1]);
      const before = handles();
      for (const step of [1, 2, 3]) {
        held.prepare(step as Step, shard);
        expect(await set.compute(held, step, shard)).toEqual(await set.compute(here, step, shard));
      }
      expect([set.idle.waiting(), set.notes, handles()]).toEqual([0, [], before]);
      set.trainer.dispose();
    },
  );

  test('a shard whose last micro-shard is short runs its micro-shards one by one', async () => {
    const set = await setUp(models["the seed's CNN"]!());
    await set.compute(set.held, 0, shardOf(7));
    expect([set.idle.waiting(), set.notes]).toEqual([0, []]);
    set.trainer.dispose();
  });

  test.each(['batch normalisation', 'an LSTM'])(
    '%s: whose gradients are no single sums over samples, runs its micro-shards one by one, and says so',
    async (name) => {
      const set = await setUp(models[name]!());
      const shard = shardOf(6);
      await set.compute(set.held, 0, shard);
      set.idle.run();
      expect(set.notes).toEqual([
        expect.stringMatching(/^A shard runs micro-shard by micro-shard, as .+: a gradient .+\.$/),
      ]);
      expect(await set.compute(set.held, 1, shard)).toEqual(await set.compute(set.here, 1, shard));
      expect([set.heard, set.idle.waiting()]).toEqual([[true, true], 0]);
      set.trainer.dispose();
    },
  );

  test('a graph of all micro-shards that gives other bits is not used', async () => {
    // Of 4 samples together something that it is not of 2 and 2.
    const set = await setUp(models['average pooling']!(), native, (modelStep) => ({
      ...modelStep,
      gradient: (...given) => {
        const found = modelStep.gradient(...given);
        const logits = tf.add(found.logits, tf.mul(tf.max(found.logits), 1e-3));
        found.logits.dispose();
        return { ...found, logits };
      },
    }));
    const shard = shardOf(4);
    await set.compute(set.held, 0, shard);
    const [open, before] = [sessions(), handles()];
    set.idle.run();
    expect(set.notes).toEqual([expect.stringContaining('the graph gives other bits')]);
    expect([sessions(), handles()]).toEqual([open, before]);
    expect(await set.compute(set.held, 1, shard)).toEqual(await set.compute(set.here, 1, shard));
    set.trainer.dispose();
  });

  test('what cannot be captured is added here, and nothing is left in TensorFlow', async () => {
    const set = await setUp(models['average pooling']!(), native, (modelStep) => ({
      ...modelStep,
      gradient: (...given) => {
        const found = modelStep.gradient(...given);
        const logits = tf.add(found.logits, tf.scalar(found.logits.dataSync()[0]! * 0));
        found.logits.dispose();
        return { ...found, logits };
      },
    }));
    const shard = shardOf(7);
    const { held, here } = set;
    await set.compute(held, 0, shard);
    const before = handles();
    expect(await set.compute(held, 1, shard)).toEqual(await set.compute(here, 1, shard));
    expect([set.heard, set.notes.length, handles()]).toEqual([[false, false], 1, before]);
    set.trainer.dispose();
  });

  /** A TensorFlow that keeps subnormal values, as adding in JavaScript does. */
  const keeping = Object.create(binding, {
    executeOp: {
      value: (...[name, attributes, ids, outputs]: Parameters<Binding['executeOp']>) => {
        const made = binding.executeOp(name, attributes, ids, outputs);
        if (name !== 'AddV2') return made;
        const [left, right] = ids.map((id) => binding.tensorDataSync(id));
        const { id, shape, dtype } = made[0]!;
        binding.deleteTensor(id);
        const sum = Float32Array.from(left!, (value, i) => value + right![i]!);
        return [{ id: binding.createTensor(shape, dtype, sum), shape, dtype }];
      },
    },
  }) as Binding;

  test('a TensorFlow that adds subnormal values otherwise is not asked to add', async () => {
    expect([binding, keeping].map((each) => addsAsDefined(each, [[3, 5], [2000]]))).toEqual([true, false]);
    const set = await setUp(models["the seed's CNN"]!(), {
      ...native,
      backend: Object.create(backend, { binding: { value: keeping, writable: true } }) as Native['backend'],
    });
    await set.compute(set.held, 1, shardOf(6));
    expect(['gradientInMicroShards' in set.trainer, set.heard]).toEqual([false, [false]]);
    set.trainer.dispose();
  });

  test.each([1, 2, 3, 5, 8, 13])('sums of %d tensors of any bits, subnormal values among them', (count) => {
    const before = handles();
    const shape = [41, 129];
    const length = 41 * 129;
    const vectors = Array.from({ length: count }, (_, i) =>
      Float32Array.from({ length }, () => {
        // Of each other's size, so that differences become subnormal.
        const size = (1 + stream.below(1 << 20) / 2 ** 20) * 2 ** (-127 + stream.below(i % 2 === 0 ? 2 : 30));
        return stream.below(2) === 0 ? size : -size;
      }),
    );
    const held = new HeldSum(1);
    const here = new TreeSum((left: Float32Array, right: Float32Array) => {
      const sum = new Float32Array(length);
      codecKernels.addFlushed(left, right, sum);
      return sum;
    });
    for (const values of vectors) {
      const id = binding.createTensor(shape, binding.TF_FLOAT, values);
      held.push(new HeldTensors(binding, [{ id, shape, dtype: binding.TF_FLOAT }]));
      here.push(values);
    }
    const [inTensorFlow, defined] = [held.total().read(0), here.total()];
    held.dispose();
    expect(Buffer.from(inTensorFlow.buffer).equals(Buffer.from(defined.buffer))).toBe(true);
    expect(handles()).toBe(before);
  });
});
