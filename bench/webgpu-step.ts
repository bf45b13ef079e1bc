// Counts what a gradient step of the default CNN costs on WebGPU in Node: dispatches, pipelines, transfers and their bytes, and the time. With
// tfjs' own kernels; with gradcast's but masks of dropout from the processor; and, by turns with that, with gradcast's. Without a GPU,
// SwiftShader computes on the processor: then only the counts, and the ratio of the times, mean something. Needs the package webgpu
// (gradcast engine install --webgpu). Arguments: [batch = 8] [steps = 3].
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { benchmarkJob } from '../shared/engine/benchmark-job.ts';
import type { Engine, GradientComputer } from '../shared/engine/engine.ts';
import { relativeDifference } from '../shared/engine/gradient-tolerance.ts';
import { createEngine } from '../shared/engine/tf-engine.ts';
import { createWebGpuEngine } from '../shared/engine/webgpu-engine.ts';
import { FusedKernel } from '../shared/kernels/fused-ops.ts';
import { correctWebGpuKernels } from '../shared/kernels/webgpu/corrections.ts';
import { systemClock } from '../shared/util/clock.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { listGpus } from '../worker-node/engine/webgpu/gpus.ts';
import { describeGpu, startWebGpu } from '../worker-node/engine/webgpu/open-webgpu.ts';
import { loadDawn } from '../worker-node/engine/webgpu/webgpu-package.ts';
import { softwareGpuEnv } from '../test/support/software-gpu.ts';
import { median } from './support/statistics.ts';

const batch = Number(process.argv[2] ?? 8);
const steps = Number(process.argv[3] ?? 3);

/** Uses of WebGPU in a step. */
const COUNTS = [
  'dispatches',
  'pipelines',
  'submits',
  'uploads',
  'bytes up',
  'read-backs',
  'bytes down',
] as const;
type Counts = Record<(typeof COUNTS)[number], number>;

if ((await listGpus()).length === 0 && process.env.GRADCAST_BENCH_GPU === undefined) {
  const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, ...softwareGpuEnv(), GRADCAST_BENCH_GPU: 'software' },
  });
  process.exit(status ?? 1);
}

const { globals } = await loadDawn();
let counts = noCounts();
countCalls();
const started = await startWebGpu();
if ('missing' in started) throw new Error(started.missing);
const { tf, adapter } = started;
const device = describeGpu(adapter);
console.log(`a step of ${batch} samples on ${device}`);
const { job, weights, shard } = benchmarkJob(batch);

correctWebGpuKernels(tf);
const info = { backend: 'webgpu', version: tf.version.tfjs, device, threads: 1 };
const before = await load(createEngine(tf, info));
for (let i = 0; i <= steps; i++) await addStep(before);
before.computer.dispose();

const { engine } = createWebGpuEngine(tf, device, '', systemClock(globalThis));
const after = await load(engine);
const uploaded: Measurement = { ...after, ...newFigures() };
const dropout = tf.getKernel(FusedKernel.dropout, 'webgpu');
for (let i = 0; i <= steps; i++) {
  await addStep(after);
  tf.unregisterKernel(FusedKernel.dropout, 'webgpu');
  await addStep(uploaded);
  tf.registerKernel(dropout);
}
const measurements = [before, uploaded, after];

console.log('');
console.log('| a step                   | tfjs       | masks up   | gradcast   |');
console.log('| ------------------------ | ---------- | ---------- | ---------- |');
for (const name of COUNTS)
  row(
    name,
    measurements.map(({ counts, pipelines }) => (name === 'pipelines' ? pipelines : counts[name])),
  );
row(
  'first step, ms',
  measurements.map(({ times }) => times[0] ?? NaN),
);
row('step, ms (median)', measurements.map(stepMs));
console.log('');
console.log(`ratio of the steps' times: ${(stepMs(after) / stepMs(before)).toFixed(2)}`);
console.log(
  `difference of the gradients, relative to their norm: ${relativeDifference(after.gradient, before.gradient).toExponential(1)}`,
);
// The open GPU keeps the process alive.
process.exit(0);

/** Figures of the steps of one kind. */
interface Figures {
  /** Uses in the last step. */
  counts: Counts;
  /** Those that loading the model and all steps have compiled. Steps before may have compiled others. */
  pipelines: number;
  /** The first one compiles the pipelines that are not compiled while the model is loaded. */
  readonly times: number[];
  readonly gradient: Float32Array;
}

interface Measurement extends Figures {
  readonly computer: GradientComputer;
}

function newFigures(): Figures {
  return { counts: noCounts(), pipelines: 0, times: [], gradient: new Float32Array(weights.length) };
}

async function load(engine: Engine): Promise<Measurement> {
  counts = noCounts();
  const computer = await engine.load(job);
  return { computer, ...newFigures(), pipelines: counts.pipelines };
}

/** Measures a step with new weights, as a worker gets them. */
async function addStep(measurement: Measurement): Promise<void> {
  const { computer, times, gradient } = measurement;
  counts = noCounts();
  const startedMs = performance.now();
  computer.setWeights(weights);
  await computer.gradient(0 as Step, shard, gradient);
  times.push(performance.now() - startedMs);
  measurement.pipelines += counts.pipelines;
  measurement.counts = counts;
}

function stepMs({ times }: Measurement): number {
  return median(times.slice(1));
}

function row(name: string, values: readonly number[]): void {
  const texts = values.map((value) => Math.round(value).toLocaleString('en-US').padStart(10));
  console.log(`| ${name.padEnd(24)} | ${texts.join(' | ')} |`);
}

function noCounts(): Counts {
  return Object.fromEntries(COUNTS.map((name) => [name, 0])) as Counts;
}

/** Counts the calls of WebGPU's classes from now on. */
function countCalls(): void {
  /** @param count receives the object and the arguments of a call */
  function wrap(
    className: string,
    method: string,
    count: (object: unknown, args: readonly unknown[]) => void,
  ): void {
    type Method = (this: unknown, ...args: unknown[]) => unknown;
    const { prototype } = globals[className] as { prototype: Record<string, Method | undefined> };
    const own = prototype[method];
    if (own === undefined) throw new Error(`WebGPU has no ${className}.${method}.`);
    prototype[method] = function (...args) {
      count(this, args);
      return own.apply(this, args);
    };
  }
  wrap('GPUComputePassEncoder', 'dispatchWorkgroups', () => void counts.dispatches++);
  wrap('GPUDevice', 'createComputePipeline', () => void counts.pipelines++);
  wrap('GPUDevice', 'createComputePipelineAsync', () => void counts.pipelines++);
  wrap('GPUQueue', 'submit', () => void counts.submits++);
  wrap('GPUQueue', 'writeBuffer', (_, args) => {
    counts.uploads++;
    counts['bytes up'] += (args[2] as ArrayBuffer | ArrayBufferView).byteLength;
  });
  wrap('GPUDevice', 'createBuffer', (_, args) => {
    const { size, mappedAtCreation } = args[0] as BufferDescriptor;
    if (mappedAtCreation !== true) return;
    counts.uploads++;
    counts['bytes up'] += size;
  });
  wrap('GPUBuffer', 'mapAsync', (buffer) => {
    counts['read-backs']++;
    counts['bytes down'] += (buffer as BufferDescriptor).size;
  });
}

interface BufferDescriptor {
  readonly size: number;
  readonly mappedAtCreation?: boolean;
}
