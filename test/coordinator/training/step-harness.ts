import { getEventListeners } from 'node:events';
import type { CodecRule } from '../../../coordinator/links/codecs.ts';
import type { AnswerValidator } from '../../../coordinator/integrity/answer-validator.ts';
import { StepRunner, type StepResult } from '../../../coordinator/training/step.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { fixedWeights } from '../../../coordinator/optimizer/fixed-weights.ts';
import type { Optimizer } from '../../../coordinator/optimizer/optimizer.ts';
import type { Range } from '../../../shared/util/range.ts';
import { type StoredSplit, imageSplit, readSamples } from '../../../shared/data/dataset.ts';
import type { Score } from '../../../shared/model/scoring.ts';
import { exampleJob, step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool, type TestPool } from '../pool/pool-harness.ts';

/** State of a round. */
export interface Watched<Result> {
  /** null before the end of the round. */
  readonly result: Result | Error | null;
}

export interface TestRunner extends TestPool {
  readonly split: StoredSplit;
  readonly waits: boolean[];
  readonly warnings: string[];
  readonly weights: Float32Array;
  /** Amount by which each weight is raised as soon as its gradient is summed. @default 10 */
  readonly rise: Float32Array;
  /** Summed parts of the gradient with their sums, in the order of summation. */
  readonly summed: { readonly part: Range; readonly sum: readonly number[] }[];
  readonly gradient: (stepNumber?: number, prefetches?: boolean) => Promise<Watched<StepResult>>;
  readonly evaluate: (stepNumber?: number, onProgress?: (done: number) => void) => Promise<Watched<Score>>;
  readonly abort: () => Promise<void>;
  /** Listeners and timers that the rounds have not removed. */
  readonly left: () => readonly [listeners: number, timers: number];
}

/**
 * Rounds over samples of two bytes, with a real pool and clients that the test controls. A part of the weights is raised as soon
 * as its gradient is summed.
 * @param bucketOffsets offsets of the buckets of the six weights
 * @param codecs codecs of the links; with them, the weights are raised without buckets too
 */
export function testRunner(
  samples = 8,
  bucketOffsets: readonly number[] = [0],
  codecs?: CodecRule,
  createValidator: (pool: TestPool, warn: (line: string) => void) => AnswerValidator | null = () => null,
): TestRunner {
  const mode = standardMode(bucketOffsets);
  const data = { ...exampleJob.data, trainSamples: samples, testSamples: samples, digest: 'a'.repeat(64) };
  const job = { ...exampleJob, data };
  const made = testPool({ job, mode, rules: { maxWorkers: 10, codecs } });
  const timersBefore = made.clock.pending;
  const stop = new AbortController();
  const waits: boolean[] = [];
  const warnings: string[] = [];
  const split = imageSplit({
    images: Uint8Array.from({ length: 2 * samples }, (_, i) => i),
    labels: Uint8Array.from({ length: samples }, (_, i) => i % 2),
    count: samples,
  });
  const runner = new StepRunner({
    pool: made.pool,
    job,
    clock: made.clock,
    mode,
    signal: stop.signal,
    onWaiting: (waiting) => waits.push(waiting),
    validator: createValidator(made, (line) => warnings.push(line)),
  });
  const watch = async <Result>(promise: Promise<Result>): Promise<Watched<Result>> => {
    const watched: { result: Result | Error | null } = { result: null };
    promise.then(
      (result) => (watched.result = result),
      (error: unknown) => (watched.result = error as Error),
    );
    await settle();
    return watched;
  };
  const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
  const rise = Float32Array.of(10, 10, 10, 10, 10, 10);
  const summed: TestRunner['summed'] = [];
  const isRaised = bucketOffsets.length > 1 || codecs !== undefined;
  const optimizer = isRaised ? raisingOptimizer(weights, rise, summed) : fixedWeights(weights);
  return {
    ...made,
    split,
    waits,
    warnings,
    weights,
    rise,
    summed,
    gradient: (stepNumber = 1, prefetches = false) => {
      const numbers = Uint32Array.from({ length: samples }, (_, i) => samples - 1 - i);
      const batch = readSamples(split, numbers);
      const input = { step: step(stepNumber), batch, isJobData: true, optimizer };
      return watch(runner.run(input, prefetches ? batch : undefined));
    },
    evaluate: (stepNumber = 1, onProgress) =>
      watch(runner.evaluate({ step: step(stepNumber), weights, split, isJobData: true }, onProgress)),
    abort() {
      stop.abort();
      return settle();
    },
    left: () => [getEventListeners(stop.signal, 'abort').length, made.clock.pending - timersBefore],
  };
}

/** An optimizer that raises each weight by a fixed amount as soon as its gradient is summed. */
function raisingOptimizer(
  weights: Float32Array,
  rise: Float32Array,
  summed: { readonly part: Range; readonly sum: readonly number[] }[],
): Optimizer {
  const gradientSum = new Float32Array(weights.length);
  let before: Float32Array | null = null;
  return {
    ...fixedWeights(weights),
    get committedWeights() {
      return before ?? weights;
    },
    gradientSum,
    begin: () => (before = weights.slice()),
    apply(_, part = { from: 0, to: weights.length }) {
      summed.push({ part, sum: [...gradientSum.subarray(part.from, part.to)] });
      for (let i = part.from; i < part.to; i++) weights[i] = (weights[i] ?? 0) + (rise[i] ?? 0);
    },
    commit: () => (before = null),
    rollback() {
      if (before !== null) weights.set(before);
      before = null;
    },
  };
}
