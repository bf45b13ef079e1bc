import type { AbortSignalLike, Clock } from '../../shared/util/clock.ts';
import type { WorkerPool } from './pool.ts';

/**
 * Waits until `count` workers are ready, so that a run does not start with a partition that changes at once. After `timeoutMs`
 * (null: never) one worker is enough. Resolves at once when the signal is aborted.
 */
export function waitForWorkers(
  pool: WorkerPool,
  count: number,
  timeoutMs: number | null,
  clock: Clock,
  signal: AbortSignalLike,
): Promise<void> {
  return new Promise((resolve) => {
    let wanted = count;
    const check = (): void => {
      if (pool.workers.size < wanted && !signal.aborted) return;
      unsubscribe();
      cancelTimeout();
      signal.removeEventListener('abort', check);
      resolve();
    };
    const unsubscribe = pool.subscribe({ joined: check });
    const onTimeout = (): void => {
      wanted = 1;
      check();
    };
    const cancelTimeout = timeoutMs === null ? () => undefined : clock.after(timeoutMs, onTimeout);
    signal.addEventListener('abort', check);
    check();
  });
}
