import { pause, type Clock, type AbortSignalLike } from '../shared/clock.ts';
import type { Engine, GradientComputer } from '../shared/engine/engine.ts';

/**
 * An engine that computes only a part of the time: after a shard it idles before it answers, so that the coordinator
 * sees a worker that is so much slower.
 * @param share of the time that it may compute, above 0 to 1; asked before each pause
 * @param signal ends a pause at once
 */
export function throttledEngine(engine: Engine, share: () => number, clock: Clock, signal: AbortSignalLike): Engine {
  return {
    info: engine.info,
    load: async (job) => throttledGradientComputer(await engine.load(job), share, clock, signal),
  };
}

function throttledGradientComputer(trainer: GradientComputer, share: () => number, clock: Clock, signal: AbortSignalLike): GradientComputer {
  /** Computed since the last pause. */
  let busyMs = 0;
  const timed = async <T>(compute: () => T | Promise<T>): Promise<T> => {
    const startedMs = clock.now();
    try {
      return await compute();
    } finally {
      busyMs += clock.now() - startedMs;
    }
  };
  const rest = async <T>(result: T): Promise<T> => {
    const idleMs = idleTimeFor(busyMs, share());
    busyMs = 0;
    if (idleMs > 0) await pause(clock, idleMs, signal);
    return result;
  };
  return {
    setWeights: (weights, from) => trainer.setWeights(weights, from),
    gradient: async (...shard) => rest(await timed(() => trainer.gradient(...shard))),
    prepare(step, shard) {
      const startedMs = clock.now();
      trainer.prepare(step, shard);
      busyMs += clock.now() - startedMs;
    },
    evaluate: async (shard) => rest(await timed(() => trainer.evaluate(shard))),
    predict: (images, samples) => trainer.predict(images, samples),
    dispose: () => trainer.dispose(),
  };
}

/** How long to idle after computing so long, in milliseconds. */
export const idleTimeFor = (busyMs: number, share: number): number => busyMs * (1 / share - 1);
