const INITIAL_MS = 500;
const MAX_MS = 15_000;

/**
 * How long to wait before trying to connect again: doubling, with full jitter over the upper half, so that workers
 * that lost their coordinator together do not come back together.
 * @param attempt 0 for the first try after a loss
 * @param random in [0, 1)
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(MAX_MS, INITIAL_MS * 2 ** attempt);
  return ceiling * (0.5 + random / 2);
}
