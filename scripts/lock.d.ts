/** Does the work while this process holds the lock. */
export function withLock<Result>(
  file: string,
  onWaiting: () => void,
  work: () => Result | Promise<Result>,
  lookEveryMs?: number,
): Promise<Result>;
