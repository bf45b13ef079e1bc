import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { BenchmarkCase } from '../../shared/engine/benchmark-job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';

/** What a few steps have shown of an engine. */
export interface EngineTiming {
  readonly samplesPerSecond: number;
  /** Of the sample's shard. */
  readonly gradient: Float32Array;
}

const MAX_STEPS = 3;
/** Steps after the first that count when time runs out. */
const MIN_STEPS = 1;

/**
 * Computes gradients of the sample: once to warm up (kernels and shaders are compiled then), then a few times, timed.
 * @param withinMs ends the timed steps early; what blocks for ever is the caller's to end
 */
export async function benchmarkEngine(
  engine: Engine,
  { job, weights, shard }: BenchmarkCase,
  withinMs: number,
  clock: Clock,
): Promise<EngineTiming> {
  const startedMs = clock.now();
  const trainer = await engine.load(job);
  try {
    const gradient = new Float32Array(weights.length);
    trainer.setWeights(weights);
    await trainer.gradient(0 as Step, shard, gradient);
    const times: number[] = [];
    while (times.length < MAX_STEPS && (times.length < MIN_STEPS || clock.now() - startedMs < withinMs)) {
      const stepStartedMs = clock.now();
      await trainer.gradient(0 as Step, shard, gradient);
      times.push(clock.now() - stepStartedMs);
    }
    const medianMs = median(times) ?? Infinity;
    return { samplesPerSecond: (shard.labels.length * 1_000) / Math.max(medianMs, 0.1), gradient };
  } finally {
    trainer.dispose();
  }
}

/** Fails with a sentence where a promise takes longer, and at once when the signal comes. */
export function withTimeout<Value>(
  clock: Clock,
  ms: number,
  what: string,
  value: Promise<Value>,
  signal?: AbortSignalLike,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', stop);
    };
    const fail = (how: string): void => {
      end();
      reject(new Error(`${what} ${how}`));
    };
    const stop = (): void => fail('was stopped');
    const cancel = clock.after(ms, () => fail(`took more than ${ms / 1_000} s`));
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    void value.then(resolve, reject).finally(end);
  });
}
