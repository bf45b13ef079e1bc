import { relativeDifference } from '../../../shared/engine/gradient-tolerance.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { median } from '../../../shared/util/median.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import type { EngineBenchmark, BenchmarkTarget } from './benchmark-child.ts';
import { packageName } from '../locate/target.ts';
import { openNativeEngine } from '../native/open-native.ts';
import { manualIdle, type IdleScheduler } from '../native/idle-scheduler.ts';
import { benchmarkJob } from '../../../shared/engine/benchmark-job.ts';
import { readGpus } from '../webgpu/gpus.ts';
import { gpuOfEnv, openWebGpuEngine } from '../webgpu/open-webgpu.ts';
import { openWasmEngine } from '../open/open-wasm.ts';

const WARM_UP_STEPS = 2;
const TIMED_STEPS = 5;
const DESCENT_STEPS = 3;
/** Largest batch for a GPU that the processor replaces, which needs up to a second for a sample. */
const SOFTWARE_BATCH_SIZE = 2;
/** Length of a descent step: relative to the norm of the gradient, so that it does not depend on the batch. */
const STEP_LENGTH = 0.02;

/**
 * Opens one engine in this process, trains with it for a few steps, and measures them.
 * @throws Error if the engine cannot be opened
 */
export async function benchmarkEngine(
  target: BenchmarkTarget,
  requestedBatch: number,
): Promise<EngineBenchmark> {
  const idle = manualIdle();
  const { engine, gpu, tensorflow, isSoftware = false } = await openTarget(target, idle);
  const batch = isSoftware ? Math.min(requestedBatch, SOFTWARE_BATCH_SIZE) : requestedBatch;
  const { job, weights, shard } = benchmarkJob(batch);
  const computer = await engine.load(job);
  try {
    const gradient = new Float32Array(weights.length);
    const times: number[] = [];
    computer.setWeights(weights);
    let difference: number | null = null;
    const lossBefore = (await computer.evaluate(shard)).lossSum;
    for (let step = 0; step < WARM_UP_STEPS + TIMED_STEPS; step++) {
      const startedMs = performance.now();
      await computer.gradient(step as Step, shard, gradient);
      if (step === 0 && target.engine === 'webgpu')
        difference = relativeDifference(gradient, await referenceGradient(batch));
      // Captures the graph after the first step.
      idle.run();
      if (step >= WARM_UP_STEPS) times.push(performance.now() - startedMs);
    }
    let current = weights;
    for (let step = 0; step < DESCENT_STEPS; step++) {
      await computer.gradient(step as Step, shard, gradient);
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
      current = current.map((value, i) => value - (STEP_LENGTH * (gradient[i] ?? NaN)) / norm);
      computer.setWeights(current);
    }
    const lossAfter = (await computer.evaluate(shard)).lossSum;
    const medianMs = median(times) ?? NaN;
    const msPerSample = medianMs / batch;
    const gpus =
      target.engine === 'webgpu' ? await readGpus({ ...gpuOfEnv(process.env), folder: target.folder }) : [];
    return { ...engine.info, gpu, tensorflow, lossBefore, lossAfter, batch, msPerSample, difference, gpus };
  } finally {
    computer.dispose();
  }
}

/** Gradient of the benchmark's first step by WebAssembly. The backend of tfjs that was in use is in use again. */
async function referenceGradient(batch: number): Promise<Float32Array> {
  const tf = await import('@tensorflow/tfjs');
  const backend = tf.getBackend();
  const engine = await openWasmEngine();
  const { job, weights, shard } = benchmarkJob(batch);
  const computer = await engine.load(job);
  try {
    const gradient = new Float32Array(weights.length);
    computer.setWeights(weights);
    await computer.gradient(0 as Step, shard, gradient);
    return gradient;
  } finally {
    computer.dispose();
    await tf.setBackend(backend);
  }
}

async function openTarget(
  { engine, package: name, folder }: BenchmarkTarget,
  idle: IdleScheduler,
): Promise<{ engine: Engine; gpu: boolean; tensorflow: string | null; isSoftware?: boolean }> {
  if (engine === 'webgpu') {
    const opened = await openWebGpuEngine({ ...gpuOfEnv(process.env), folder });
    if ('missing' in opened) throw new Error(opened.missing);
    const { isSoftware } = opened;
    return { engine: opened.engine, gpu: !isSoftware, tensorflow: null, isSoftware };
  }
  if (engine === 'wasm') return { engine: await openWasmEngine(), gpu: false, tensorflow: null };
  const published = nativeCandidates().filter((each) => each.package === name && each.folder === folder);
  const variant = name === packageName('gpu') ? 'gpu' : 'cpu';
  // An engine is benchmarked before it is published to the cache.
  const staged = {
    package: packageName(variant),
    variant,
    missing: null,
    ...(folder === undefined ? {} : { folder }),
  } as const;
  const native = await openNativeEngine({ idle }, published.length > 0 ? published : [staged]);
  if ('missing' in native) throw new Error(native.missing);
  return native;
}
