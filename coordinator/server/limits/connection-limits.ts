import { report } from 'node:process';

/** Kept for the data set, checkpoints, the log, local workers and Node itself. */
const MAX_RESERVED_DESCRIPTORS = 128;

/** Of all kinds at once: a thousand workers, as many observers, and pages that are being loaded. */
const MAX_CONNECTIONS = 4_096;

export interface ConnectionLimits {
  /** Of all kinds; the rest is for those that are not admitted yet. */
  readonly connections: number;
  readonly workers: number;
  readonly observers: number;
}

/**
 * Connections that this process may hold, so that descriptors remain for its files, and neither workers nor observers
 * can take all of them.
 * @param limit open files that the system allows the process; undefined where it sets no limit
 */
export function connectionLimitsFor(limit: number | undefined): ConnectionLimits {
  const kept = limit === undefined ? 0 : Math.min(MAX_RESERVED_DESCRIPTORS, Math.ceil(limit / 2));
  const connections = Math.max(4, Math.min(MAX_CONNECTIONS, (limit ?? Infinity) - kept));
  return { connections, workers: connections >> 1, observers: connections >> 2 };
}

/** Open files that the system allows this process; undefined if it sets no limit, or does not say. */
export function readDescriptorLimit(): number | undefined {
  const found: unknown = report.getReport();
  const limits = (found as { userLimits?: { open_files?: { soft?: unknown } } }).userLimits;
  const soft = limits?.open_files?.soft;
  return typeof soft === 'number' && soft > 0 ? soft : undefined;
}
