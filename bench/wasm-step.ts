// Compares a gradient step of the default CNN on tfjs' WebAssembly backend with gradcast's kernels, with and without fused
// multiply-add, and with a naive variant, which computes both convolution gradients through conv2d and all else with tfjs. Medians of
// alternating steps.
// Arguments: [steps = 15] [batch = 128]. PROFILE=1 also prints the time of each kernel.
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { registerWasmKernels } from '../shared/kernels/wasm/register.ts';
import { enableRelaxedSimd } from '../worker-node/engine/open/open-wasm.ts';
import { median } from './support/statistics.ts';

const steps = Number(process.argv[2] ?? 15);
const batch = Number(process.argv[3] ?? 128);

type Variant = Map<string, tf.KernelConfig>;

enableRelaxedSimd();
tf.enableProdMode();
await tf.setBackend('wasm');
const stockRelu = tf.getGradient('Relu');
const stock = snapshot();
registerWasmKernels(tf);
const ownRelu = tf.getGradient('Relu');
const own = snapshot();
registerWasmKernels(tf, { multiplyAdd: false });
const plain = snapshot();
registerWasmKernels(tf, { simd: false });
const composed = snapshot();
const naive = naiveVariant();

const inputs = seedInputs();
const variants = [
  { name: 'naive', use: () => use(naive, stockRelu), times: [] as number[] },
  { name: 'gradcast', use: () => use(own, ownRelu), times: [] as number[] },
  { name: 'gradcast without multiply-add', use: () => use(plain, ownRelu), times: [] as number[] },
  { name: 'gradcast without own SIMD', use: () => use(composed, ownRelu), times: [] as number[] },
];
for (let i = -2; i < steps; i++) {
  for (const variant of variants) {
    variant.use();
    const start = performance.now();
    step();
    const elapsed = performance.now() - start;
    if (i >= 0) variant.times.push(elapsed);
  }
}
const medians = variants.map(({ times }) => median(times));
console.log(
  `ratio ${(medians[1]! / medians[0]!).toFixed(3)} (gradcast / naive, batch ${batch}, ${steps} steps each)`,
);
variants.forEach(({ name }, i) => console.log(`${name}: ${medians[i]!.toFixed(1)} ms`));
if (process.env.PROFILE) for (const variant of variants) profile(variant);

/** Draws inputs, labels, dropout masks and weights from fixed seeds. */
function seedInputs() {
  const weight = (shape: number[], fanIn: number, seed: number) =>
    tf.randomNormal(shape, 0, Math.sqrt(2 / fanIn), 'float32', seed);
  const mask = (shape: number[], keep: number, seed: number) =>
    tf.tidy(() => tf.randomUniform(shape, 0, 1, 'float32', seed).less(keep).cast('float32').div(keep));
  return {
    x: tf.randomUniform<tf.Rank.R4>([batch, 28, 28, 1], 0, 1, 'float32', 1),
    labels: tf.tidy(() => tf.oneHot(tf.range(0, batch, 1, 'int32').mod(tf.scalar(10, 'int32')), 10)),
    mask1: mask([batch, 12, 12, 32], 0.75, 2),
    mask2: mask([batch, 128], 0.5, 3),
    weights: [
      weight([3, 3, 1, 32], 9, 4),
      tf.zeros([32]),
      weight([3, 3, 32, 32], 288, 5),
      tf.zeros([32]),
      weight([4608, 128], 4608, 6),
      tf.zeros([128]),
      weight([128, 10], 128, 7),
      tf.zeros([10]),
    ],
  };
}

/** Runs forward and backward pass and reads all gradients back. */
function step(): void {
  const { x, labels, mask1, mask2, weights } = inputs;
  tf.tidy(() => {
    const gradients = tf.grads((...w: tf.Tensor[]) => {
      const conv = (input: tf.Tensor4D, i: number) =>
        tf.relu<tf.Tensor4D>(tf.add(tf.conv2d(input, w[i] as tf.Tensor4D, 1, 'valid'), w[i + 1]!));
      const pooled = tf.maxPool<tf.Tensor4D>(conv(conv(x, 0), 2), 2, 2, 'valid');
      const flat = tf.reshape(tf.mul(pooled, mask1), [batch, -1]);
      const dense = tf.mul(tf.relu(tf.add(tf.matMul(flat, w[4]!), w[5]!)), mask2);
      return tf.losses.softmaxCrossEntropy(labels, tf.add(tf.matMul(dense, w[6]!), w[7]!));
    })(weights);
    for (const gradient of gradients) gradient.dataSync();
  });
}

function snapshot(): Variant {
  return new Map(tf.getKernelsForBackend('wasm').map((config) => [config.kernelName, config]));
}

function use(variant: Variant, relu: tf.GradConfig): void {
  for (const { kernelName } of tf.getKernelsForBackend('wasm')) tf.unregisterKernel(kernelName, 'wasm');
  for (const config of variant.values()) tf.registerKernel(config);
  tf.unregisterGradient('Relu');
  tf.registerGradient(relu);
}

/** Stock kernels, with both convolution gradients through tfjs' conv2d. */
function naiveVariant(): Variant {
  const filter: tf.KernelFunc = ({ inputs: { x, dy } }) =>
    tf.tidy(() => {
      const swapped = tf.transpose(x as tf.Tensor4D, [3, 1, 2, 0]);
      const gradient = tf.transpose(dy as tf.Tensor4D, [1, 2, 0, 3]);
      return tf.transpose(tf.conv2d(swapped, gradient, 1, 'valid'), [1, 2, 0, 3]);
    });
  const input: tf.KernelFunc = ({ inputs: { dy, filter: weights } }) =>
    tf.tidy(() => {
      const turned = tf.transpose(tf.reverse(weights as tf.Tensor4D, [0, 1]), [0, 1, 3, 2]);
      const h = weights!.shape[0]! - 1;
      const w = weights!.shape[1]! - 1;
      const pad: [number, number][] = [[0, 0], [h, h], [w, w], [0, 0]]; // prettier-ignore
      return tf.conv2d(dy as tf.Tensor4D, turned, 1, pad as Parameters<typeof tf.conv2d>[3]);
    });
  return new Map<string, tf.KernelConfig>([
    ...stock,
    ...[
      { kernelName: 'Conv2DBackpropFilter', kernelFunc: filter },
      { kernelName: 'Conv2DBackpropInput', kernelFunc: input },
    ].map((config) => [config.kernelName, { ...config, backendName: 'wasm' }] as const),
  ]);
}

function profile(variant: (typeof variants)[number]): void {
  variant.use();
  const spent = new Map<string, number>();
  let depth = 0;
  for (const config of tf.getKernelsForBackend('wasm')) {
    tf.unregisterKernel(config.kernelName, 'wasm');
    tf.registerKernel({
      ...config,
      kernelFunc: (call) => {
        const start = performance.now();
        depth++;
        try {
          return config.kernelFunc(call);
        } finally {
          depth--;
          const shapes = Object.values(call.inputs).map((input) => `[${input?.shape.join() ?? ''}]`);
          const key = `${config.kernelName} ${shapes.join(' ')}`;
          if (depth === 0) spent.set(key, (spent.get(key) ?? 0) + performance.now() - start);
        }
      },
    });
  }
  const runs = 5;
  for (let i = 0; i < runs; i++) step();
  console.log(`\n${variant.name}: ms per step`);
  const rows = [...spent].sort((p, q) => q[1] - p[1]).slice(0, 24);
  for (const [key, ms] of rows) console.log(`${(ms / runs).toFixed(2).padStart(8)}  ${key}`);
}
