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
    load: async (job, module) =>
      throttledGradientComputer(await engine.load(job, module), share, clock, signal),
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
    load(job, module) {
      onLoading();
      return engine.load(job, module);
    },
  };
}

/** An engine, and whether a call of it has not been answered. */
export interface WatchedEngine {
  readonly engine: Engine;
  readonly isBusy: () => boolean;
}

/**
 * An engine of which is known whether it computes. One that still does after its session has ended is stuck.
 * @example
 * const { engine, isBusy } = watchedEngine(opened.engine);
 */
export function watchedEngine(engine: Engine): WatchedEngine {
  let pending = 0;
  const watch = async <T>(call: Promise<T>): Promise<T> => {
    pending++;
    try {
      return await call;
    } finally {
      pending--;
    }
  };
  return {
    isBusy: () => pending > 0,
    engine: {
      info: engine.info,
      async load(job, module) {
        const computer = await watch(engine.load(job, module));
        return {
          setWeights: (weights) => computer.setWeights(weights),
          gradient: (...shard) => watch(computer.gradient(...shard)),
          prepare: (step, shard) => computer.prepare(step, shard),
          evaluate: (shard) => watch(computer.evaluate(shard)),
          predict: (...prediction) => watch(computer.predict(...prediction)),
          dispose: () => computer.dispose(),
        };
      },
    },
  };
}
