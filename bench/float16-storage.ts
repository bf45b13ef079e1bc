// Measures what float16 as the type of storage does to the gradient of the default CNN: WebAssembly's engine computes in float32, and
// values are rounded to float16 where a GPU would store them. Weights are those after some steps of training. Uses the MNIST of
// MNIST_DIR, else synthetic digits. Arguments: [steps = 60] [batch = 128]
import * as tf from '@tensorflow/tfjs';
import { openDataset } from '../coordinator/data/load-dataset.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { plainReporter } from '../coordinator/report/plain.ts';
import { batches, epochOrder } from '../coordinator/training/sampler.ts';
import { codecKernels } from '../shared/codec/kernels/simd.ts';
import { readSamples } from '../shared/data/dataset.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { relativeDifference } from '../shared/engine/gradient-tolerance.ts';
import { createModelStep } from '../shared/engine/model-step.ts';
import { ShardInputs } from '../shared/engine/shard-inputs.ts';
import { copyingTransfers, createGradientComputer } from '../shared/engine/tf-engine.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { systemClock } from '../shared/util/clock.ts';
import { storedDataset } from '../test/support/images.ts';
import { wasmEngine } from '../test/support/wasm-engine.ts';
import { median } from './support/statistics.ts';

const steps = Number(process.argv[2] ?? 60);
const batchSize = Number(process.argv[3] ?? 128);
const SEED = 1337;
/** Required bound of an engine's difference from WebAssembly. */
const BOUND = 1e-4;
/** Steps between two measurements. */
const EVERY = 5;

/** Selection of the values that are stored as float16. */
interface Storage {
  readonly weights?: boolean;
  /** Layers whose outputs are. */
  readonly outputs?: readonly string[];
  /** Layers whose outputs' gradients are, multiplied by GRADIENT_SCALE. */
  readonly gradients?: readonly string[];
}
/** Power of two that keeps small gradients above the smallest float16. */
const GRADIENT_SCALE = 1024;

const CONVOLUTIONS = ['conv2d_1', 'conv2d_2'];
const HIDDEN = [...CONVOLUTIONS, 'max_pooling2d_1', 'dropout_1', 'dense_1', 'dropout_2'];
const STORAGES: Readonly<Record<string, Storage>> = {
  nothing: {},
  'the first convolution’s output': { outputs: ['conv2d_1'] },
  'the second convolution’s output': { outputs: ['conv2d_2'] },
  'the dense layer’s output': { outputs: ['dense_1'] },
  'outputs of all hidden layers': { outputs: HIDDEN },
  'gradients of the convolutions’ outputs': { gradients: CONVOLUTIONS },
  'gradients of all hidden layers’ outputs': { gradients: HIDDEN },
  weights: { weights: true },
  'weights, outputs and gradients': { weights: true, outputs: HIDDEN, gradients: HIDDEN },
};

/** Values rounded to float16. */
function rounded(values: Float32Array): Float32Array {
  const packed = { values: new Uint16Array(values.length), scales: new Float32Array(0) };
  const result = new Float32Array(values.length);
  codecKernels.float16.encode(values, packed);
  codecKernels.float16.decode(packed, result);
  return result;
}
const roundedTensor = (x: tf.Tensor, scale = 1): tf.Tensor => {
  const values = x.dataSync<'float32'>().map((value) => value * scale);
  return tf.tensor(
    rounded(values).map((value) => value / scale),
    x.shape,
  );
};

const data = process.env.MNIST_DIR;
const dataset =
  data === undefined
    ? syntheticDigits({ seed: 1, trainCount: steps * batchSize, testCount: 10 })
    : storedDataset(
        await openDataset({ data, seed: 1 }, plainReporter(console.error, systemClock(globalThis))),
      );
const { job, initialWeights } = await prepareJob(dataset, { batchSize, epochs: 1, seed: SEED });
await wasmEngine();
const modelStep = await createModelStep(tf, job);
const computer = createGradientComputer(tf, job, modelStep, new ShardInputs(job), copyingTransfers);

let storage: Storage = {};
for (const layer of modelStep.built.model.layers) {
  const call = layer.call.bind(layer);
  layer.call = (inputs, kwargs) => {
    const output = call(inputs, kwargs) as tf.Tensor;
    const isStored = storage.outputs?.includes(layer.name) === true;
    const isGradientStored = storage.gradients?.includes(layer.name) === true;
    if (!isStored && !isGradientStored) return output;
    return tf.customGrad((x) => ({
      value: isStored ? roundedTensor(x as tf.Tensor) : tf.clone(x as tf.Tensor),
      gradFunc: (dy: tf.Tensor) => (isGradientStored ? roundedTensor(dy, GRADIENT_SCALE) : dy),
    }))(output);
  };
}

const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
const weights = initialWeights.slice();
const found = new Map(Object.keys(STORAGES).map((name): [string, number[]] => [name, []]));
const order = batches(epochOrder(SEED, 1, dataset.train.count), batchSize);
for (const [number, batch] of [...order].slice(0, steps).entries()) {
  const step = number as Step;
  const shard = readSamples(dataset.train, batch);
  const gradientOf = async (stored: Storage): Promise<Float32Array> => {
    storage = stored;
    computer.setWeights(stored.weights === true ? rounded(weights) : weights);
    const gradient = new Float32Array(weights.length);
    await computer.gradient(step, shard, gradient);
    return gradient;
  };
  const exact = await gradientOf({});
  if (number % EVERY === EVERY - 1)
    for (const [name, stored] of Object.entries(STORAGES))
      found.get(name)?.push(relativeDifference(await gradientOf(stored), exact));
  optimizer.gradientSum.set(exact);
  optimizer.apply({ step, samples: batchSize });
}

console.log(
  `${dataset.name}, batch ${batchSize}, every fifth of ${steps} steps; difference of the gradient, relative to its norm`,
);
console.log('');
console.log('| stored as float16 | median | least | largest | beyond 1e-4 |');
console.log('| --- | --- | --- | --- | --- |');
for (const [name, differences] of found) {
  const figures = [median(differences), Math.min(...differences), Math.max(...differences)];
  const beyond = differences.filter((difference) => !(difference <= BOUND)).length;
  console.log(
    `| ${name} | ${figures.map((figure) => figure.toExponential(1)).join(' | ')} | ${beyond} of ${differences.length} |`,
  );
}
process.exit(0);
