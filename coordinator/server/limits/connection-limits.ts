import { report } from 'node:process';
import { flagName, type OptionName } from '../../../shared/util/option-names.ts';
import type { PendingLimits } from './pending-connections.ts';
import type { BlockRateLimits } from './block-rate-limiter.ts';

/** Number of workers, if no option says another. */
export const DEFAULT_WORKERS = 1_000;
/** Number of workers that an option may ask for: Linux allows a process about a million open files, each worker gets four. */
export const MAX_WORKERS = 65_536;

/** Descriptors for the data set, checkpoints, the log, local workers and Node itself. */
const MAX_RESERVED_DESCRIPTORS = 128;
/** Connections for each worker: its own, another while it reconnects, and page loads and observers. */
const CONNECTIONS_PER_WORKER = 4;
/** Enough for a thousand workers, as many observers, and page loads. */
const MIN_CONNECTIONS = 4_096;

export interface ConnectionLimits {
  /** All connections; those that are neither workers nor observers are pending. */
  readonly connections: number;
  readonly workers: number;
  readonly observers: number;
}

/**
 * Number of connections that this process may hold: descriptors remain for its files, and neither workers nor observers
 * can use up all connections.
 * @param descriptors number of open files that the system allows; undefined if there is no limit
 * @param maxWorkers number of workers that are wanted
 */
export function connectionLimitsFor(
  descriptors: number | undefined,
  maxWorkers = DEFAULT_WORKERS,
): ConnectionLimits {
  const reserved =
    descriptors === undefined ? 0 : Math.min(MAX_RESERVED_DESCRIPTORS, Math.ceil(descriptors / 2));
  const wanted = Math.max(MIN_CONNECTIONS, CONNECTIONS_PER_WORKER * maxWorkers);
  const connections = Math.max(4, Math.min(wanted, (descriptors ?? Infinity) - reserved));
  return { connections, workers: Math.min(maxWorkers, connections >> 1), observers: connections >> 2 };
}

/**
 * Checks that the system allows as many open files as a number of workers needs.
 * @param optionName name of the option for the number of workers
 * @param descriptors see connectionLimitsFor
 * @throws Error with a sentence that says how to allow more
 */
export function checkDescriptors(
  maxWorkers: number,
  optionName: OptionName = flagName,
  descriptors = readDescriptorLimit(),
): void {
  const { workers } = connectionLimitsFor(descriptors, maxWorkers);
  if (workers >= maxWorkers) return;
  throw new Error(
    `${optionName('maxWorkers')} ${maxWorkers} needs more open files than the ${descriptors ?? 0} that the system allows this ` +
      `process, which are enough for ${workers} workers. Allow more first: ulimit -n ${2 * maxWorkers + MAX_RESERVED_DESCRIPTORS}`,
  );
}

/** Rates at which clients of one network, and all together, may join and connect. */
export interface JoinLimits {
  readonly joins: BlockRateLimits;
  /** See HttpRateLimiter. */
  readonly http: BlockRateLimits;
  /** Connections that have not joined yet. */
  readonly pending: PendingLimits;
}

/** Each pending connection may hold 128 KiB. */
const MAX_PENDING = 8_192;
/** Units of HttpRateLimiter for a TLS connection and its upgrade, and for another attempt if the first one fails. */
const HTTP_UNITS_PER_JOIN = 30;

/**
 * Limits with which as many workers as there are places can join at once, also from behind one address: those of a cluster start
 * together, and all reconnect at the same time after a network outage. Of more than MAX_PENDING / 2 the rest retries. Joins take about a millisecond of the coordinator each.
 */
export function joinLimitsFor(maxWorkers: number): JoinLimits {
  return {
    joins: {
      perBlock: { burst: Math.max(250, maxWorkers), perSecond: 50 },
      total: { burst: Math.max(500, 2 * maxWorkers), perSecond: 100 },
    },
    http: {
      // A school class behind one router that opens the page all at once needs some 3,000 units.
      perBlock: { burst: Math.max(3_000, HTTP_UNITS_PER_JOIN * maxWorkers), perSecond: 300 },
      total: { burst: Math.max(10_000, 2 * HTTP_UNITS_PER_JOIN * maxWorkers), perSecond: 1_000 },
    },
    pending: {
      perBlock: Math.max(256, Math.min(maxWorkers, MAX_PENDING >> 1)),
      total: Math.max(2_048, Math.min(2 * maxWorkers, MAX_PENDING)),
    },
  };
}

/** Number of open files that the system allows this process; undefined if there is no limit, or it is not known. */
export function readDescriptorLimit(): number | undefined {
  const found: unknown = report.getReport();
  const limits = (found as { userLimits?: { open_files?: { soft?: unknown } } }).userLimits;
  const soft = limits?.open_files?.soft;
  return typeof soft === 'number' && soft > 0 ? soft : undefined;
}
