/** A worker's link to the world, the same in both directions. */
export interface LinkShape {
  readonly name: string;
  readonly bitsPerSecond: number;
  /** One way. */
  readonly delayMs: number;
}

export const LINKS: readonly LinkShape[] = [
  { name: '1g', bitsPerSecond: 1e9, delayMs: 0.2 },
  { name: '100m', bitsPerSecond: 1e8, delayMs: 2 },
  { name: '20m', bitsPerSecond: 2e7, delayMs: 40 },
];

/** The coordinator's link is ten times as wide as a worker's, up to this. */
const MAX_COORDINATOR_BITS_PER_SECOND = 1e9;
export const coordinatorRate = ({ bitsPerSecond }: LinkShape): number =>
  Math.min(MAX_COORDINATOR_BITS_PER_SECOND, 10 * bitsPerSecond);

/** What a worker of the bench is told. */
export interface LinkWorkerConfig {
  readonly url: string;
  readonly delayMs: number;
  /** Where the link is shaped by the worker itself. */
  readonly bitsPerSecond: number | null;
  readonly perSampleMs: number;
  /** The part of a computation after which the gradient's tail is there; 1 for an engine that has all at once. */
  readonly firstBucketAt: number;
}
