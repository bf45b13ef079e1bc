import type { Dataset, Split } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';
import { addScores, type Score } from '../../shared/model/scoring.ts';
import type { Step, WorkerId } from '../../shared/protocol/messages.ts';
import type { Optimizer } from '../optimizer/optimizer.ts';
import type { TrainingListener } from '../report/reporter.ts';
import type { AnswerValidator } from '../integrity/answer-validator.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Worker } from '../pool/worker.ts';
import { ThroughputTracker } from '../scheduling/throughput.ts';
import type { WeightsPublisher } from '../weights/publisher.ts';
import { evaluationParts } from './batch-reader.ts';
import type { RoundExecutor, ShardTiming } from './round-executor.ts';
import type { RunMode } from '../modes/run-mode.ts';

export interface EvaluationInput {
  readonly step: Step;
  /** Flat vector. */
  readonly weights: Float32Array;
  /** Samples by number, or a shard. */
  readonly split: Split | Shard;
  /** Whether it is the test part of the job's data set; see RoundInput. @default false */
  readonly isJobData?: boolean;
}

export interface EvaluatorOptions {
  readonly pool: WorkerPool;
  readonly mode: RunMode;
  readonly publisher: WeightsPublisher;
  readonly executor: RoundExecutor;
  readonly validator: AnswerValidator | null;
}

/** Shards per worker: one travels while the other is computed. */
const DEPTH = 2;
const STRAGGLER_FACTOR = 1.5;

/** Computes loss and accuracy over a split, in small shards that idle workers are assigned. */
export class Evaluator implements ShardTiming {
  readonly #options: EvaluatorOptions;
  readonly #throughput = new ThroughputTracker();

  constructor(options: EvaluatorOptions) {
    this.#options = options;
  }

  /** See StepRunner.evaluate. Repeats a part without workers whose answers were wrong. */
  async evaluate(input: EvaluationInput, onProgress?: (done: number, total: number) => void): Promise<Score> {
    const { split } = input;
    const isShard = 'sampleNumbers' in split;
    const count = isShard ? split.sampleNumbers.length : split.count;
    let done = 0;
    let score: Score | null = null;
    for await (const batch of isShard ? [split] : evaluationParts(split)) {
      const before = done;
      const report = (samples: number): void => onProgress?.(before + samples, count);
      let part: Score | null = null;
      while (part === null) part = await this.#attempt({ ...input, batch }, report);
      score = score === null ? part : addScores(score, part);
      done += batch.sampleNumbers.length;
    }
    if (score === null) throw new RangeError('There is no sample to evaluate on.');
    return score;
  }

  record({ id, engine }: Worker, samples: number, busyMs: number): void {
    this.#throughput.record(id, engine, samples, busyMs);
  }

  /** Forecast for the median worker: the end of an evaluation must not wait for a slow worker's last shards. */
  stragglerAfterMs(_: WorkerId, samples: number): number {
    return STRAGGLER_FACTOR * DEPTH * (this.#throughput.medianForecastMs(samples) ?? Infinity);
  }

  /** @returns null if the part has to be repeated */
  async #attempt(
    input: EvaluationInput & { readonly batch: Shard },
    onProgress: (done: number) => void,
  ): Promise<Score | null> {
    const { pool, mode, publisher, executor, validator } = this.#options;
    const count = input.batch.sampleNumbers.length;
    pool.lockFingerprint();
    this.#throughput.beginStep(pool.workers);
    onProgress(0);

    // Exact weights: scores are saved beside them.
    publisher.beginStep(input.step, { committedWeights: input.weights }, { exact: true });
    const round = executor.start(
      { ...input, task: 'evaluate', timing: this },
      {
        workers: [...pool.workers.keys()],
        assignments: [],
        pending: mode.splitEvaluation(count, pool.workers.size),
        splitRange: mode.splitRange,
        depth: DEPTH,
        hasSamples: (worker, { from }) =>
          input.isJobData === true &&
          pool.workers.get(worker)?.keptSamples?.has('evaluate', input.batch.sampleNumbers[from] ?? 0) ===
            true,
      },
    );
    let done = 0;
    for await (const { shard } of round) {
      done += shard.to - shard.from;
      onProgress(done);
    }
    const reviewed = { ...input, weights: publisher.current, answers: round.answers };
    const decision = (await validator?.reviewEvaluation(reviewed)) ?? 'count';
    return decision === 'count' ? round.score : null;
  }
}

export interface AverageEvaluation {
  readonly optimizer: Pick<Optimizer, 'weights' | 'averagedWeights' | 'penalty'>;
  readonly stepRunner: Pick<Evaluator, 'evaluate'> & { readonly rewind?: () => void };
  readonly dataset: Dataset;
  readonly report: Pick<TrainingListener, 'evaluated'>;
}

/**
 * Evaluates the weights that are saved on the test split, with the model's penalty in the loss. They are those of the step unless
 * the optimizer keeps an average.
 */
export async function evaluateAverage(
  { optimizer, stepRunner, dataset, report }: AverageEvaluation,
  step: Step,
): Promise<Score> {
  const { averagedWeights: weights } = optimizer;
  const isAverage = weights !== optimizer.weights;
  // Workers that were sent the step's own weights need these, and afterwards the step's own again.
  if (isAverage) stepRunner.rewind?.();
  const { lossSum, metrics } = await stepRunner.evaluate(
    { step, weights, split: dataset.test, isJobData: true },
    (done, total) => report.evaluated?.(done, total),
  );
  if (isAverage) stepRunner.rewind?.();
  return { lossSum: lossSum + dataset.test.count * optimizer.penalty(weights), metrics };
}
