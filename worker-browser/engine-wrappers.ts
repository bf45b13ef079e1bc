import type { Engine, GradientComputer } from '../shared/engine/engine.ts';
import { type AbortSignalLike, type Clock, pause } from '../shared/util/clock.ts';

/**
 * An engine that computes only a share of the time: it idles after each shard, before it answers, so that the coordinator
 * measures a worker that is slower by that factor.
 * @param share share of the time that it may compute, above 0 to 1; read before each pause
 * @param signal ends a pause at once
 */
export function throttledEngine(
  engine: Engine,
  share: () => number,
  clock: Clock,
  signal: AbortSignalLike,
): Engine {
  return {
    info: engine.info,
    load: async (job) => throttledGradientComputer(await engine.load(job), share, clock, signal),
  };
}

function throttledGradientComputer(
  computer: GradientComputer,
  share: () => number,
  clock: Clock,
  signal: AbortSignalLike,
): GradientComputer {
  /** Time computed since the last pause. */
  let busyMs = 0;
  const timed = async <T>(compute: () => T | Promise<T>): Promise<T> => {
    const startedMs = clock.now();
    try {
      return await compute();
    } finally {
      busyMs += clock.now() - startedMs;
    }
  };
  const idle = async <T>(result: T): Promise<T> => {
    const idleMs = idleTimeFor(busyMs, share());
    busyMs = 0;
    if (idleMs > 0) await pause(clock, idleMs, signal);
    return result;
  };
  return {
    setWeights: (weights) => computer.setWeights(weights),
    gradient: async (...shard) => idle(await timed(() => computer.gradient(...shard))),
    prepare(step, shard) {
      const startedMs = clock.now();
      computer.prepare(step, shard);
      busyMs += clock.now() - startedMs;
    },
    evaluate: async (shard) => idle(await timed(() => computer.evaluate(shard))),
    predict: (...prediction) => computer.predict(...prediction),
    dispose: () => computer.dispose(),
  };
}

/** Time to idle after computing for `busyMs`, so that computing takes `share` of both. */
const idleTimeFor = (busyMs: number, share: number): number => busyMs * (1 / share - 1);

/** An engine that calls back before it builds a model, which takes a while on a slow device. */
export function announceLoading(engine: Engine, onLoading: () => void): Engine {
  return {
    info: engine.info,
    load(job) {
      onLoading();
      return engine.load(job);
    },
  };
}
