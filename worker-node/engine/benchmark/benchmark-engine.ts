import type { Engine } from '../../../shared/engine/engine.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { median } from '../../../shared/util/median.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import type { EngineBenchmark, BenchmarkTarget } from './benchmark-child.ts';
import { packageName } from '../locate/target.ts';
import { openNativeEngine } from '../native/open-native.ts';
import { manualIdle, type IdleScheduler } from '../native/idle-scheduler.ts';
import { benchmarkJob } from '../../../shared/engine/benchmark-job.ts';
import { openWasmEngine } from '../tfjs/tfjs-engines.ts';

const WARM_UP_STEPS = 2;
const TIMED_STEPS = 5;
const DESCENT_STEPS = 3;
/** Against the norm of the gradient, so that any batch takes a step of the same, small length. */
const STEP_LENGTH = 0.02;

/**
 * Opens one engine in this process, trains with it for a few steps, and measures.
 * @throws Error if it cannot be opened
 */
export async function benchmarkEngine(target: BenchmarkTarget, batch: number): Promise<EngineBenchmark> {
  const idle = manualIdle();
  const opened = await openTarget(target, idle);
  const { engine, gpu, tensorflow } = opened;
  const { job, weights, shard } = benchmarkJob(batch);
  const trainer = await engine.load(job);
  try {
    const gradient = new Float32Array(weights.length);
    const times: number[] = [];
    trainer.setWeights(weights);
    const lossBefore = (await trainer.evaluate(shard)).lossSum;
    for (let step = 0; step < WARM_UP_STEPS + TIMED_STEPS; step++) {
      const startedMs = performance.now();
      await trainer.gradient(step as Step, shard, gradient);
      // After the first, its graph is captured.
      idle.run();
      if (step >= WARM_UP_STEPS) times.push(performance.now() - startedMs);
    }
    let current = weights;
    for (let step = 0; step < DESCENT_STEPS; step++) {
      await trainer.gradient(step as Step, shard, gradient);
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
      current = current.map((value, i) => value - (STEP_LENGTH * (gradient[i] ?? NaN)) / norm);
      trainer.setWeights(current);
    }
    const lossAfter = (await trainer.evaluate(shard)).lossSum;
    const medianMs = median(times) ?? NaN;
    return { ...engine.info, gpu, tensorflow, lossBefore, lossAfter, batch, msPerSample: medianMs / batch };
  } finally {
    trainer.dispose();
  }
}

async function openTarget(
  { engine, package: name, folder }: BenchmarkTarget,
  idle: IdleScheduler,
): Promise<{ engine: Engine; gpu: boolean; tensorflow: string | null }> {
  if (engine === 'wasm') return { engine: await openWasmEngine(), gpu: false, tensorflow: null };
  const known = nativeCandidates().filter((each) => each.package === name && each.folder === folder);
  const variant = name === packageName('gpu') ? 'gpu' : 'cpu';
  // A folder that is not in the cache yet is being tried before it is put there.
  const fresh = {
    package: packageName(variant),
    variant,
    missing: null,
    ...(folder === undefined ? {} : { folder }),
  } as const;
  const native = await openNativeEngine({ idle }, known.length > 0 ? known : [fresh]);
  if ('missing' in native) throw new Error(native.missing);
  return native;
}
