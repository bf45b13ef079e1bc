// WebAssembly's engine with a variant of its kernels. Answers every number with the milliseconds of that many gradient steps of the
// default CNN. Arguments: gradcast, plain (without multiply-add), composed (without own SIMD) or naive; batch
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { registerWasmKernels } from '../../shared/kernels/wasm/register.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { openWasmEngine } from '../../worker-node/engine/open/open-wasm.ts';
import { cpuMs } from './cpu-time.ts';
import { syntheticShard } from './synthetic-shard.ts';

const [, , variant = 'gradcast', batchText = '128'] = process.argv;
const { job, initialWeights, shard } = await syntheticShard(Number(batchText));
await tf.setBackend('wasm');
const stock = { kernels: tf.getKernelsForBackend('wasm'), relu: tf.getGradient('Relu') };
const engine = await openWasmEngine(variant !== 'plain');
if (variant === 'composed') registerWasmKernels(tf, { simd: false });
if (variant === 'naive') registerNaive();
const computer = await engine.load(job);
const gradient = new Float32Array(initialWeights.length);
let step = 0;
process.on('message', (count: number) => void run(count));
process.send?.('ready');

async function run(count: number): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    // A worker prepares inputs while it waits for weights.
    computer.prepare(step as Step, shard);
    const startedMs = cpuMs();
    computer.setWeights(initialWeights);
    await computer.gradient(step++ as Step, shard, gradient);
    times.push(cpuMs() - startedMs);
  }
  process.send?.(times);
}

/** Registers tfjs' own kernels, with both convolution gradients through its conv2d. */
function registerNaive(): void {
  for (const { kernelName } of tf.getKernelsForBackend('wasm')) tf.unregisterKernel(kernelName, 'wasm');
  for (const config of stock.kernels) tf.registerKernel(config);
  tf.unregisterGradient('Relu');
  tf.registerGradient(stock.relu);
  const filter: tf.KernelFunc = ({ inputs: { x, dy } }) =>
    tf.tidy(() => {
      const swapped = tf.transpose(x as tf.Tensor4D, [3, 1, 2, 0]);
      const upstream = tf.transpose(dy as tf.Tensor4D, [1, 2, 0, 3]);
      return tf.transpose(tf.conv2d(swapped, upstream, 1, 'valid'), [1, 2, 0, 3]);
    });
  const input: tf.KernelFunc = ({ inputs: { dy, filter: weights } }) =>
    tf.tidy(() => {
      const turned = tf.transpose(tf.reverse(weights as tf.Tensor4D, [0, 1]), [0, 1, 3, 2]);
      const h = weights!.shape[0]! - 1;
      const w = weights!.shape[1]! - 1;
      const pad: [number, number][] = [[0, 0], [h, h], [w, w], [0, 0]]; // prettier-ignore
      return tf.conv2d(dy as tf.Tensor4D, turned, 1, pad as Parameters<typeof tf.conv2d>[3]);
    });
  for (const [kernelName, kernelFunc] of [
    ['Conv2DBackpropFilter', filter],
    ['Conv2DBackpropInput', input],
  ] as const) {
    if (stock.kernels.some((config) => config.kernelName === kernelName))
      tf.unregisterKernel(kernelName, 'wasm');
    tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc });
  }
}
