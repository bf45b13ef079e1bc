/** Does the work while no other process has the lock. */
export function withLock<Result>(
  file: string,
  onWaiting: () => void,
  work: () => Result | Promise<Result>,
  lookEveryMs?: number,
): Promise<Result>;
