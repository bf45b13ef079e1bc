import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { BenchmarkCase } from '../../shared/engine/benchmark-job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';

/** Measurement of a few steps of an engine. */
export interface EngineTiming {
  readonly samplesPerSecond: number;
  /** Gradient of the benchmark's shard. */
  readonly gradient: Float32Array;
}

const MAX_STEPS = 3;
/** Timed steps that are run even if the time is over. */
const MIN_STEPS = 1;

/**
 * Computes the gradient of a benchmark once to warm up, which compiles kernels and shaders, and then a few times with a timer.
 * @param maxMs time after which no further step starts; the caller ends an engine that hangs
 */
export async function benchmarkEngine(
  engine: Engine,
  { job, weights, shard }: BenchmarkCase,
  maxMs: number,
  clock: Clock,
): Promise<EngineTiming> {
  const startedMs = clock.now();
  const computer = await engine.load(job);
  try {
    const gradient = new Float32Array(weights.length);
    computer.setWeights(weights);
    await computer.gradient(0 as Step, shard, gradient);
    const times: number[] = [];
    while (times.length < MAX_STEPS && (times.length < MIN_STEPS || clock.now() - startedMs < maxMs)) {
      const stepStartedMs = clock.now();
      await computer.gradient(0 as Step, shard, gradient);
      times.push(clock.now() - stepStartedMs);
    }
    const medianMs = median(times) ?? Infinity;
    return { samplesPerSecond: (shard.sampleNumbers.length * 1_000) / Math.max(medianMs, 0.1), gradient };
  } finally {
    computer.dispose();
  }
}

/** Rejects with a sentence if a promise takes too long, and at once when the signal is aborted. */
export function withTimeout<Value>(
  clock: Clock,
  ms: number,
  what: string,
  value: Promise<Value>,
  signal?: AbortSignalLike,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const cleanUp = (): void => {
      cancel();
      signal?.removeEventListener('abort', stop);
    };
    const fail = (problem: string): void => {
      cleanUp();
      reject(new Error(`${what} ${problem}`));
    };
    const stop = (): void => fail('was stopped');
    const cancel = clock.after(ms, () => fail(`took more than ${ms / 1_000} s`));
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    void value.then(resolve, reject).finally(cleanUp);
  });
}
