// Times the kernels of products in gradient steps of the default CNN on WebAssembly, in GFLOP/s of the products that each computes, beside
// the peak of this core: independent 128-bit multiply-adds, which is what WebAssembly has. Native TensorFlow may use wider ones.
// Convolutions count the products of their own algorithm: of Winograd's tiles, and of gradients that are not 0 behind a pool. The last
// column counts those of Winograd's tiles for these gradients too, which is what the goal is about.
// Times are those that the process computes, without those in which others have the core; on a loaded machine, the best says most. Arguments: [steps = 60] [batch = 128]
import * as tf from '@tensorflow/tfjs';
import { FusedKernel, type ConvolutionAttrs } from '../shared/kernels/fused-ops.ts';
import { fusesMultiplyAdd } from '../shared/kernels/wasm/simd.ts';
import type { WasmBackend } from '../shared/kernels/wasm/backend.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { openWasmEngine } from '../worker-node/engine/open/open-wasm.ts';
import { forkEntry, nextMessage } from './support/children.ts';
import type { NativeProduct } from './support/native-product.ts';
import { cpuMs } from './support/cpu-time.ts';
import { decile, median } from './support/statistics.ts';
import { syntheticShard } from './support/synthetic-shard.ts';
import { peakMeter } from './support/wasm-peak.ts';

const [, , stepsText = '60', batchText = '128'] = process.argv;
const steps = Number(stepsText);
const WARM_UP = 10;
/** Share of the peak that kernels of products should reach. */
const GOAL = 0.6;
/** Millions of products from which on a kernel has that goal: smaller ones take most time to begin. */
const MIN_MILLIONS = 10;
/** Rows of the square matrices that native TensorFlow multiplies, too. */
const SQUARE = 1536;

const CONVOLUTIONS = new Set<string>([
  ...[FusedKernel.convolution, FusedKernel.gradInput, FusedKernel.gradFilter],
  ...[FusedKernel.pooled, FusedKernel.pooledGradInput, FusedKernel.pooledGradFilter],
]);

interface Call {
  readonly name: string;
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  readonly attrs: ConvolutionAttrs;
}
interface Row {
  /** Millions of products of the last call. */
  millions: number;
  /** Products that tiles of Winograd's F(2x2, 3x3) would take, relative to those. */
  winograd: number;
  readonly ms: number[];
  /** GFLOP/s. */
  readonly rates: number[];
}

const engine = await openWasmEngine();
const backend = tf.backend() as unknown as WasmBackend;
const measurePeak = await peakMeter();
const peaks = [measurePeak()];
const rows = new Map<string, Row>();
await timeSteps();
timeSquare();
peaks.push(measurePeak());
print(Math.max(...peaks));
await printNative();

async function timeSteps(): Promise<void> {
  const { job, initialWeights, shard } = await syntheticShard(Number(batchText));
  const computer = await engine.load(job);
  const gradient = new Float32Array(initialWeights.length);
  let restore = (): void => undefined;
  for (let step = -WARM_UP; step < steps; step++) {
    if (step === 0) restore = timeKernels();
    computer.setWeights(initialWeights);
    await computer.gradient((step + WARM_UP) as Step, shard, gradient);
  }
  restore();
  computer.dispose();
}

/** Times each kernel that no other has called. @returns a function that ends it */
function timeKernels(): () => void {
  const kernels = tf.getKernelsForBackend('wasm');
  let depth = 0;
  const replace = (configs: readonly tf.KernelConfig[]): void => {
    for (const config of configs) {
      tf.unregisterKernel(config.kernelName, 'wasm');
      tf.registerKernel(config);
    }
  };
  replace(
    kernels.map((config) => ({
      ...config,
      kernelFunc: (call) => {
        depth++;
        const startedMs = cpuMs();
        const result = config.kernelFunc(call);
        const ms = cpuMs() - startedMs;
        depth--;
        if (depth === 0)
          record(
            {
              name: config.kernelName,
              inputs: call.inputs as Call['inputs'],
              attrs: call.attrs as Call['attrs'],
            },
            ms,
          );
        return result;
      },
    })),
  );
  return () => replace(kernels);
}

function record(call: Call, ms: number): void {
  const counted = productsOf(call);
  if (counted === null) return;
  const row = rows.get(counted.label) ?? { millions: 0, winograd: 1, ms: [], rates: [] };
  row.millions = counted.products / 1e6;
  row.winograd = (counted.winograd ?? counted.products) / counted.products;
  rows.set(counted.label, row);
  row.ms.push(ms);
  row.rates.push((2 * counted.products) / ms / 1e6);
}

/** Products of a call of a kernel, each with its sum; null if it is none of products. */
function productsOf({
  name,
  inputs,
  attrs,
}: Call): { label: string; products: number; winograd?: number } | null {
  if (!CONVOLUTIONS.has(name)) return null;
  const [height, width, channels] = attrs.input;
  const [outHeight, outWidth, filters] = attrs.output;
  const taps = attrs.filter[0] * attrs.filter[1];
  const isForward = name === FusedKernel.convolution || name === FusedKernel.pooled;
  const isPooled =
    name === FusedKernel.pooled ||
    name === FusedKernel.pooledGradInput ||
    name === FusedKernel.pooledGradFilter;
  const part = isForward
    ? 'output'
    : name === FusedKernel.gradInput || name === FusedKernel.pooledGradInput
      ? "input's gradient"
      : "filter's gradient";
  const sizes =
    taps === 1
      ? `${channels} x ${filters}`
      : `${height} x ${width} x ${channels} by ${filters}${isPooled ? ', pool' : ''}`;
  const label = `${taps === 1 ? 'dense' : 'convolution'} ${sizes}: ${part}`;
  const x = isForward ? inputs.x! : inputs.dy!;
  const pooled = isPooled ? 4 : 1;
  const perSample = isForward ? height * width * channels : (outHeight * outWidth * filters) / pooled;
  const samples = tf.util.sizeFromShape(x.shape) / perSample;
  if (!isPooled) return { label, products: samples * outHeight * outWidth * taps * channels * filters };
  const tiles = Math.ceil(outHeight / 2) * Math.ceil(outWidth / 2);
  const winograd = samples * tiles * 16 * channels * filters;
  return isForward
    ? { label, products: winograd }
    : { label, products: countGradients(inputs) * taps * channels, winograd };
}

/** Number of a pool's gradients that are not 0 and reach the convolution. */
function countGradients({ dy, winners }: Call['inputs']): number {
  const values = backend.typedArrayFromHeap(dy!);
  // The tensor of the places has another shape.
  const places = backend.typedArrayFromHeap({ ...winners!, shape: dy!.shape });
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i] !== 0 && places[i]! < 4) count++;
  return count;
}

function timeSquare(): void {
  const a = tf.randomUniform([SQUARE, SQUARE], -1, 1, 'float32', 1);
  const b = tf.randomUniform([SQUARE, SQUARE], -1, 1, 'float32', 2);
  const row: Row = { millions: SQUARE ** 3 / 1e6, winograd: 1, ms: [], rates: [] };
  for (let i = 0; i < 15; i++) {
    const startedMs = cpuMs();
    tf.matMul(a, b).dispose();
    const ms = cpuMs() - startedMs;
    row.ms.push(ms);
    row.rates.push((2 * SQUARE ** 3) / ms / 1e6);
  }
  rows.set(`product of ${SQUARE} x ${SQUARE}`, row);
  tf.dispose([a, b]);
}

function print(peak: number): void {
  const form = fusesMultiplyAdd() ? 'fused' : 'not fused';
  console.log(`peak of 128-bit multiply-adds (${form}) on a core: ${peak.toFixed(1)} GFLOP/s`);
  console.log(
    `${'M products'.padStart(65)}   ms min  median  GFLOP/s max  median  of the peak  in Winograd's products`,
  );
  for (const [label, { millions, winograd, ms, rates }] of rows) {
    const best = decile(rates, 10);
    const goal = millions > MIN_MILLIONS && best * winograd < GOAL * peak ? ` (goal: ${100 * GOAL} %)` : '';
    const share = [1, winograd].map((factor) =>
      `${((100 * best * factor) / peak).toFixed(0)} %`.padStart(11),
    );
    const figures = [
      millions.toFixed(1).padStart(10),
      decile(ms, 0).toFixed(2).padStart(8),
      median(ms).toFixed(2).padStart(7),
      best.toFixed(1).padStart(12),
      median(rates).toFixed(1).padStart(7),
    ];
    console.log(`${label.padEnd(55)}${figures.join(' ')}${share.join('')}${goal}`);
  }
}

async function printNative(): Promise<void> {
  const result = await nextMessage<NativeProduct>(forkEntry('native-product', [String(SQUARE)]));
  console.log(
    'missing' in result
      ? `native TensorFlow is not installed: ${result.missing}`
      : `product of ${SQUARE} x ${SQUARE} by native TensorFlow on one thread: ${((2 * SQUARE ** 3) / result.ms / 1e6).toFixed(1)} GFLOP/s`,
  );
}
