const INITIAL_MS = 500;
const MAX_MS = 15_000;

/**
 * Pause before an attempt to reconnect: doubles with each attempt, with random jitter over the upper half, so that workers
 * that lost the same coordinator do not reconnect at the same time.
 * @param attempt 0 for the first attempt after a loss
 * @param random in [0, 1)
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(MAX_MS, INITIAL_MS * 2 ** attempt);
  return ceiling * (0.5 + random / 2);
}
