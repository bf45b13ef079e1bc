/** A worker's link, the same in both directions. */
export interface LinkShape {
  readonly name: string;
  readonly bitsPerSecond: number;
  /** Delay in one direction. */
  readonly delayMs: number;
}

export const LINKS: readonly LinkShape[] = [
  { name: '1g', bitsPerSecond: 1e9, delayMs: 0.2 },
  { name: '100m', bitsPerSecond: 1e8, delayMs: 2 },
  { name: '20m', bitsPerSecond: 2e7, delayMs: 40 },
];

/** Upper limit of the coordinator's link, which otherwise has ten times the rate of a worker's. */
const MAX_COORDINATOR_BITS_PER_SECOND = 1e9;
export const coordinatorRate = ({ bitsPerSecond }: LinkShape): number =>
  Math.min(MAX_COORDINATOR_BITS_PER_SECOND, 10 * bitsPerSecond);

/** Configuration of a worker of the bench. */
export interface LinkWorkerConfig {
  readonly url: string;
  readonly delayMs: number;
  /** Rate that the worker's transport applies, or null if the link itself has a rate. */
  readonly bitsPerSecond: number | null;
  readonly perSampleMs: number;
  /** Part of a computation after which the first bucket is ready; 1 for an engine that has all buckets at the end. */
  readonly firstBucketAt: number;
  /** Whether a relay prints its lines. @default false */
  readonly verbose?: boolean;
  /** Codec of a relay's own links. @default 'float32' */
  readonly codec?: string;
}
