import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { expect } from 'vitest';
import { Purpose, randomStream } from '../../shared/random/stream.ts';

/** Settings of a property test. */
export interface PropertySettings<Inputs> {
  /** Seed of the inputs, the same in every run of the tests. */
  readonly seed: number;
  /** Number of inputs, examples included; default 100. */
  readonly numRuns?: number;
  /** Inputs to try first, such as those that have failed before. */
  readonly examples?: Inputs[];
}

const DEFAULT_RUNS = 100;

/**
 * Seed of a random test: `fixed` by default. GRADCAST_TEST_SEEDS=new draws another one and prints it; GRADCAST_TEST_SEEDS=N
 * uses N, to repeat a failure.
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
 * Replacement for Math.random that draws the same numbers in every run of a test file. Each call returns another stream,
 * since workers that draw the same numbers get the same identity.
 */
export function fixedRandom(): () => number {
  const numbers = randomStream(1, Purpose.syntheticDigits, 2, streams++);
  return () => numbers.uniform();
}

/** Number of runs of a property, multiplied by GRADCAST_TEST_RUNS. */
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
  // For a synchronous property, assert() returns nothing.
  return fc.assert(property as fc.IAsyncProperty<Inputs>, {
    seed: testSeed(seed),
    numRuns: scaledRuns(numRuns),
    examples,
  });
}
