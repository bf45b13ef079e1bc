import { report } from 'node:process';

/** Descriptors for the data set, checkpoints, the log, local workers and Node itself. */
const MAX_RESERVED_DESCRIPTORS = 128;

/** Enough for a thousand workers, as many observers, and page loads. */
const MAX_CONNECTIONS = 4_096;

export interface ConnectionLimits {
  /** All connections; those that are neither workers nor observers are pending. */
  readonly connections: number;
  readonly workers: number;
  readonly observers: number;
}

/**
 * Number of connections that this process may hold: descriptors remain for its files, and neither workers nor observers
 * can use up all connections.
 * @param limit number of open files that the system allows; undefined if there is no limit
 */
export function connectionLimitsFor(limit: number | undefined): ConnectionLimits {
  const reserved = limit === undefined ? 0 : Math.min(MAX_RESERVED_DESCRIPTORS, Math.ceil(limit / 2));
  const connections = Math.max(4, Math.min(MAX_CONNECTIONS, (limit ?? Infinity) - reserved));
  return { connections, workers: connections >> 1, observers: connections >> 2 };
}

/** Number of open files that the system allows this process; undefined if there is no limit, or it is not known. */
export function readDescriptorLimit(): number | undefined {
  const found: unknown = report.getReport();
  const limits = (found as { userLimits?: { open_files?: { soft?: unknown } } }).userLimits;
  const soft = limits?.open_files?.soft;
  return typeof soft === 'number' && soft > 0 ? soft : undefined;
}
