import type { Engine } from '../../../shared/engine/engine.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { median } from '../../../shared/util/median.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import type { EngineBenchmark, BenchmarkTarget } from './benchmark-child.ts';
import { packageName } from '../locate/target.ts';
import { openNativeEngine } from '../native/open-native.ts';
import { manualIdle, type IdleScheduler } from '../native/idle-scheduler.ts';
import { benchmarkJob } from '../../../shared/engine/benchmark-job.ts';
import { openWasmEngine } from '../open/choose-engine.ts';

const WARM_UP_STEPS = 2;
const TIMED_STEPS = 5;
const DESCENT_STEPS = 3;
/** Length of a descent step: relative to the norm of the gradient, so that it does not depend on the batch. */
const STEP_LENGTH = 0.02;

/**
 * Opens one engine in this process, trains with it for a few steps, and measures them.
 * @throws Error if the engine cannot be opened
 */
export async function benchmarkEngine(target: BenchmarkTarget, batch: number): Promise<EngineBenchmark> {
  const idle = manualIdle();
  const opened = await openTarget(target, idle);
  const { engine, gpu, tensorflow } = opened;
  const { job, weights, shard } = benchmarkJob(batch);
  const computer = await engine.load(job);
  try {
    const gradient = new Float32Array(weights.length);
    const times: number[] = [];
    computer.setWeights(weights);
    const lossBefore = (await computer.evaluate(shard)).lossSum;
    for (let step = 0; step < WARM_UP_STEPS + TIMED_STEPS; step++) {
      const startedMs = performance.now();
      await computer.gradient(step as Step, shard, gradient);
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
    return { ...engine.info, gpu, tensorflow, lossBefore, lossAfter, batch, msPerSample: medianMs / batch };
  } finally {
    computer.dispose();
  }
}

async function openTarget(
  { engine, package: name, folder }: BenchmarkTarget,
  idle: IdleScheduler,
): Promise<{ engine: Engine; gpu: boolean; tensorflow: string | null }> {
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
