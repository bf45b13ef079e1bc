import type { Clock, AbortSignalLike } from '../../shared/clock.ts';
import type { WorkerPool } from './worker-pool.ts';

/**
 * Waits until `count` workers are ready, so that a run starts with the shares that it will have; if some are still
 * missing after `patienceMs` (never, if null), any one is enough. Ends at once when the person wants to stop.
 */
export function waitForWorkers(
  pool: WorkerPool,
  count: number,
  patienceMs: number | null,
  clock: Clock,
  signal: AbortSignalLike,
): Promise<void> {
  return new Promise((resolve) => {
    let wanted = count;
    const check = (): void => {
      if (pool.workers.size < wanted && !signal.aborted) return;
      stopListening();
      cancel();
      signal.removeEventListener('abort', check);
      resolve();
    };
    const stopListening = pool.subscribe({
      joined: check,
    });
    const takeAnyone = (): void => {
      wanted = 1;
      check();
    };
    const cancel = patienceMs === null ? () => undefined : clock.after(patienceMs, takeAnyone);
    signal.addEventListener('abort', check);
    check();
  });
}
