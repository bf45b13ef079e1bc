import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { expect } from 'vitest';
import { Purpose, randomStream } from '../../shared/random/stream.ts';

/** Settings of a property test. */
export interface PropertySettings<Inputs> {
  /** Draws the same inputs in every run of the tests. */
  readonly seed: number;
  /** Inputs to draw, with the examples; 100 without it. */
  readonly numRuns?: number;
  /** Inputs that are tried first: those that have failed before. */
  readonly examples?: Inputs[];
}

const DEFAULT_RUNS = 100;

/**
 * Seed of a random test: the fixed one. GRADCAST_TEST_SEEDS=new draws another and prints it; GRADCAST_TEST_SEEDS=N uses N,
 * to repeat a failure.
 */
export function testSeed(fixed: number): number {
  const wanted = process.env.GRADCAST_TEST_SEEDS ?? '';
  if (wanted === '') return fixed;
  const seed = wanted === 'new' ? randomInt(2 ** 31) : Number(wanted);
  if (!Number.isSafeInteger(seed)) {
    throw new Error(`GRADCAST_TEST_SEEDS is '${wanted}'; set it to 'new' or to an integer.`);
  }
  console.log(`seed ${seed}: ${expect.getState().currentTestName ?? 'outside of a test'}`);
  return seed;
}

let streams = 0;

/**
 * Numbers in [0, 1) in place of Math.random, the same in every run of a test file. Each call gives a stream of its own:
 * workers that draw the same numbers have the same identity.
 */
export function fixedRandom(): () => number {
  const numbers = randomStream(1, Purpose.syntheticDigits, 2, streams++);
  return () => numbers.uniform();
}

/** Runs of a property; GRADCAST_TEST_RUNS=N multiplies them. */
function scaledRuns(numRuns: number): number {
  const text = process.env.GRADCAST_TEST_RUNS ?? '1';
  const factor = Number(text);
  if (!(factor > 0)) throw new Error(`GRADCAST_TEST_RUNS is '${text}'; set it to a positive number.`);
  return Math.ceil(numRuns * factor);
}

/**
 * Checks a property with inputs of a fixed seed.
 * @throws Error with the seed, the path and the smallest input found that fails
 */
export function checkProperty<Inputs>(
  property: fc.IAsyncProperty<Inputs>,
  settings: PropertySettings<Inputs>,
): Promise<void>;
export function checkProperty<Inputs>(
  property: fc.IProperty<Inputs>,
  settings: PropertySettings<Inputs>,
): void;
export function checkProperty<Inputs>(
  property: fc.IAsyncProperty<Inputs> | fc.IProperty<Inputs>,
  { seed, numRuns = DEFAULT_RUNS, examples = [] }: PropertySettings<Inputs>,
): void | Promise<void> {
  // With a property that is not asynchronous, nothing is returned.
  return fc.assert(property as fc.IAsyncProperty<Inputs>, {
    seed: testSeed(seed),
    numRuns: scaledRuns(numRuns),
    examples,
  });
}
