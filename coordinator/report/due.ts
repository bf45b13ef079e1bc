import type { Clock } from '../../shared/clock.ts';

const LINE_INTERVAL_MS = 10_000;

/** Whether the next line of something that goes on is due: one every ten seconds, from now on or since `again`. */
export function everyTenSeconds(clock: Clock): { (): boolean; again(): void } {
  let lastMs = clock.now();
  const isDue = (): boolean => {
    if (clock.now() - lastMs < LINE_INTERVAL_MS) return false;
    lastMs = clock.now();
    return true;
  };
  return Object.assign(isDue, { again: () => void (lastMs = clock.now()) });
}
