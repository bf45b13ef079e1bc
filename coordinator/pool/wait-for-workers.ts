import type { AbortSignalLike, Clock } from '../../shared/util/clock.ts';
import type { WorkerPool } from './pool.ts';

/**
 * Waits until `count` workers are ready, so that a run does not start with a partition that changes at once. After `timeoutMs`
 * (null: never) one worker is enough. Resolves at once when the signal is aborted.
 * @param onJoined called with the number of workers for each that joins while others are missing
 * @throws the error with which the pool's run ends meanwhile
 */
export function waitForWorkers(
  pool: WorkerPool,
  count: number,
  timeoutMs: number | null,
  clock: Clock,
  signal: AbortSignalLike,
  onJoined: (workers: number) => void = () => undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let wanted = count;
    const check = (): void => {
      if (pool.workers.size < wanted && !signal.aborted && pool.end === null) return;
      unsubscribe();
      cancelTimeout();
      signal.removeEventListener('abort', check);
      if (pool.end === null) resolve();
      else reject(pool.end);
    };
    const joined = (): void => {
      if (pool.workers.size < wanted) onJoined(pool.workers.size);
      check();
    };
    const unsubscribe = pool.subscribe({ joined, finished: check });
    const onTimeout = (): void => {
      wanted = 1;
      check();
    };
    const cancelTimeout = timeoutMs === null ? () => undefined : clock.after(timeoutMs, onTimeout);
    signal.addEventListener('abort', check);
    check();
  });
}
