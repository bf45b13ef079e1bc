/** Does the work while no other process holds the lock. */
export function withLock<Result>(
  file: string,
  onWaiting: () => void,
  work: () => Result | Promise<Result>,
  pollMs?: number,
): Promise<Result>;
