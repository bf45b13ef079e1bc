import * as tf from '@tensorflow/tfjs';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CustomObjects } from '../../../shared/engine/custom-objects.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { readSamples, type Dataset } from '../../../shared/data/dataset.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { bundleOf, exampleJob, threeInputs } from '../../support/custom-code.ts';
import { hashedTensor } from '../../support/hashed-values.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const reference = JSON.parse(
  readFileSync(new URL('../../reference/keras-custom.json', import.meta.url), 'utf8'),
) as { readonly lossSum: number; readonly metricSum: number; readonly gradient: readonly number[] };

const sevenSamples = await readSamples(
  threeInputs.test,
  Uint32Array.from({ length: 7 }, (_, i) => i),
);

describe('a custom layer, loss and metric', () => {
  it('have the values and gradient that they have in Keras', async () => {
    const { job, custom } = await exampleJob();
    const computer = await (await wasmEngine()).load(job, custom.module);
    const { slices, length } = layoutOf(job.layout);
    const weights = new Float32Array(length);
    slices.forEach((slice, t) => weights.set(hashedTensor(t, 'any', slice), slice.offset));
    computer.setWeights(weights);
    const gradient = new Float32Array(length);
    const result = await computer.gradient(0 as Step, sevenSamples, gradient);
    expect(reference.gradient).toHaveLength(length);
    expect(result.lossSum).toBeCloseTo(reference.lossSum, 4);
    expect(result.metrics[0]).toBeCloseTo(reference.metricSum, 5);
    gradient.forEach((value, i) => expect(value, `element ${i}`).toBeCloseTo(reference.gradient[i]!, 4));
    // An evaluation has the same values: nothing of this model is random.
    const evaluated = await computer.evaluate(sevenSamples);
    expect(evaluated.lossSum).toBeCloseTo(result.lossSum, 5);
    expect(evaluated.metrics).toEqual(result.metrics);
    computer.dispose();
  });

  it('count by the weights of samples and outputs, and leave no tensors behind', async () => {
    const { job, custom } = await exampleJob();
    const [output] = job.outputs;
    const metrics = output!.metrics.map((metric) => ({ ...metric, weighted: true }));
    const weighted = { ...job, sampleWeights: true, outputs: [{ ...output!, weight: 0.5, metrics }] };
    const engine = await wasmEngine();
    const plain = await engine.load(job, custom.module);
    const doubled = await engine.load(weighted, custom.module);
    const { length } = layoutOf(job.layout);
    const [one, two] = [new Float32Array(length), new Float32Array(length)];
    const step = 0 as Step;
    const shard = { ...sevenSamples, weights: new Float32Array(7).fill(2) };
    const first = await plain.gradient(step, sevenSamples, one);
    const second = await doubled.gradient(step, shard, two);
    expect(second.lossSum).toBeCloseTo(first.lossSum, 5);
    // The sum of the weighted metric, then that of the weights.
    expect(second.metrics.slice(0, 2)).toEqual([2 * first.metrics[0]!, 14]);
    two.forEach((value, i) => expect(value).toBeCloseTo(one[i]!, 4));
    const before = tf.memory().numTensors;
    await doubled.gradient(step, shard, two);
    await doubled.evaluate(shard);
    expect(tf.memory().numTensors).toBe(before);
    plain.dispose();
    doubled.dispose();
  });

  it('get the probabilities of a model whose softmax is part of the loss', async () => {
    const custom = await bundleOf(
      'export default () => ({ metrics: { total: (tf, yTrue, yPred) => tf.add(tf.sum(yPred, -1), tf.sum(yTrue, -1)) } });',
    );
    const classes: Dataset = {
      ...threeInputs,
      targets: [{ name: 'c', shape: [], dtype: 'uint8', classes: 4 }],
      train: { ...threeInputs.train, targets: [new Uint8Array(96).map((_, i) => i % 4)] },
      test: { ...threeInputs.test, targets: [new Uint8Array(7).map((_, i) => i % 4)] },
    };
    const { prepareJob } = await import('../../../coordinator/model/model.ts');
    const { job } = await prepareJob(classes, {
      batchSize: 24,
      epochs: 1,
      seed: 1,
      metrics: ['total', 'accuracy'],
      custom,
    });
    const computer = await (await wasmEngine()).load(job, custom.module);
    const shard = await readSamples(classes.test, Uint32Array.of(0, 1, 2));
    expect((await computer.evaluate(shard)).metrics[0]).toBeCloseTo(3 * 2, 4);
    computer.dispose();
  });
});

describe('two jobs in one process', () => {
  it('may have different layers of the same name', async () => {
    const layerTimes = (
      factor: number,
    ) => `export default (tf) => ({ layers: [class Times extends tf.layers.Layer {
      static className = 'Times';
      call(inputs) { return tf.mul(Array.isArray(inputs) ? inputs[0] : inputs, ${factor}); }
    }] });`;
    const [two, three] = await Promise.all([layerTimes(2), layerTimes(3)].map(bundleOf));
    const topology = {
      class_name: 'Sequential',
      config: {
        name: 'm',
        layers: [
          { class_name: 'Dense', config: { name: 'd', units: 1, batch_input_shape: [null, 3] } },
          { class_name: 'Times', config: { name: 't' } },
        ],
      },
    };
    const settings = { topology, loss: 'mse', metrics: ['mae'] };
    const engine = await wasmEngine();
    const outputs = await Promise.all(
      [two!, three!].map(async (custom) => {
        const { job, initialWeights } = await exampleJob({ ...settings, custom });
        const computer = await engine.load(job, custom.module);
        computer.setWeights(initialWeights);
        return [...(await computer.predict(sevenSamples.inputs, 7))];
      }),
    );
    outputs[0]!.forEach((value, i) => expect(1.5 * value).toBeCloseTo(outputs[1]![i]!, 5));
    const { classNameMap } = tf.serialization.SerializationMap.getMap();
    expect(classNameMap).not.toHaveProperty('Times');
  });
});

describe('what code returns', () => {
  const read = (made: unknown): CustomObjects => new CustomObjects(tf, () => made);

  it('is checked with a sentence that names it', () => {
    class Nameless extends tf.layers.Layer {}
    class Dense extends tf.layers.Layer {}
    class Odd extends tf.layers.Layer {
      static className = 'a b';
    }
    const f = (): null => null;
    const cases: [unknown, RegExp][] = [
      [null, /returns no \{ layers/],
      [{ optimizers: [] }, /returns optimizers\. It has layers/],
      [{ layers: {} }, /no list of classes/],
      [{ layers: [Date] }, /no class that extends tf\.layers\.Layer/],
      [{ layers: [Dense] }, /The layer Dense has the name of a layer of Keras/],
      [{ layers: [Odd] }, /The layer name "a b" of custom code is not valid/],
      [{ layers: [Nameless, Nameless] }, /Two layers of custom code have the same name/],
      [{ losses: { mse: f } }, /The loss mse has a name of Keras/],
      [{ losses: { MeanSquaredError: f } }, /has a name of Keras/],
      [{ metrics: { accuracy: f } }, /The metric accuracy has a name of Keras/],
      [{ metrics: { custom: f } }, /has a name of Keras/],
      [{ losses: { ['__proto__']: f } }, /"__proto__" of custom code is not valid/],
      [{ losses: { 'x;y': f } }, /not valid/],
      [{ losses: { ['x'.repeat(101)]: f } }, /not valid/],
      [{ losses: { own: 3 } }, /The loss own of custom code is no function/],
    ];
    for (const [made, sentence] of cases) expect(() => read(made), sentence.source).toThrow(sentence);
    expect(() => new CustomObjects(tf, { losses: {} })).toThrow(/no default export that is a function/);
    expect(read({ layers: [Nameless] }).names.layers).toEqual(['Nameless']);
  });

  it('has values of each sample, or the function is named', () => {
    const target = tf.zeros([4, 3]);
    const valuesOf = (f: (...pair: unknown[]) => unknown): tf.Tensor =>
      read({ losses: { own: f } }).valuesOf({ kind: 'loss', name: 'own' }, target, target);
    expect(() => valuesOf(() => 3)).toThrow('The loss own returns no tensor.');
    expect(() => valuesOf(() => tf.zeros([4, 3]))).toThrow(
      'The loss own returns [4, 3] for 4 samples, not [4]. Reduce the other axes, as with tf.mean(x, -1).',
    );
    expect(() => valuesOf(() => tf.scalar(0))).toThrow('returns [] for 4 samples');
    expect(() =>
      valuesOf(() => {
        throw new Error('no such axis');
      }),
    ).toThrow('The loss own has failed: no such axis');
    expect(valuesOf(() => tf.zeros([4], 'bool')).dtype).toBe('float32');
  });

  it('must be all that the job names', async () => {
    const { code, module } = await bundleOf('export default () => ({ losses: {} });');
    await expect(CustomObjects.import(tf, { ...code, losses: ['mine'] }, module)).rejects.toThrow(
      'The custom code lacks mine of loss mine, which the job names.',
    );
  });
});
