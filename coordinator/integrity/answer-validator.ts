import type { Clock } from '../../shared/util/clock.ts';
import { shardBytes, sliceShard, viewShard, writeShard, type Shard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf, type Layout } from '../../shared/model/layout.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { Step, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { pluralize, type Reporter } from '../report/reporter.ts';
import { copyAnswer, type Answer, type GradientAnswer } from './answer.ts';
import { SpotCheckSchedule } from './spot-checks.ts';
import { compareGradients, compareScores, type Comparison } from './compare-answers.ts';
import { pickSuspectShards } from './evaluation-checks.ts';
import { QuantizationSteps } from './quantization.ts';
import type { ReferenceEngine } from './reference-engine.ts';
import { sumMatches, samplePositions, valuesAt } from './sampled-values.ts';
import { OutlierFilter, type AnswerMeasurement } from './outlier-filter.ts';

export interface AnswerValidatorOptions {
  readonly pool: WorkerPool;
  readonly job: Job;
  readonly clock: Clock;
  readonly report: Pick<Reporter, 'warn' | 'info'>;
  readonly referenceEngine: Pick<
    ReferenceEngine,
    'open' | 'gradient' | 'evaluate' | 'verifyEngine' | 'close'
  >;
  /** Fraction of the answers that are recomputed before they are used, in addition to the default checks. */
  readonly audit: number;
  /** Random number in [0, 1). */
  readonly random: () => number;
}

/** Inputs of a round whose answers are reviewed. */
export interface ReviewedRound {
  readonly step: Step;
  /** Weights of the round. */
  readonly weights: Float32Array;
  /** Samples of the batch; shards are ranges of it. */
  readonly batch: Shard;
}

export interface ReviewedStep extends ReviewedRound {
  readonly answers: readonly GradientAnswer[];
  /** Gradient sum that is about to be applied. */
  readonly total: Float32Array;
  /** Whether the total has only buckets of these answers; else it may have buckets of gradients that never became complete. */
  readonly isSumOfAnswers: boolean;
}

export interface ReviewedEvaluation extends ReviewedRound {
  readonly answers: readonly Answer[];
}

/** Whether the sums of a round may be used, or the round has to be repeated. */
export type ReviewDecision = 'count' | 'repeat';

/** Result of recomputing an answer; unknown if that was not possible. */
type CheckResult = 'right' | 'wrong' | 'unknown';

/** Recomputation of an answer during the next steps. */
interface BackgroundCheck {
  readonly worker: WorkerId;
  /** First step since the start of the check in which an answer of this worker was used. */
  usedSince: Step | null;
  readonly done: Promise<void>;
}

/** Number of workers whose first answers are recomputed in one step. Further workers are checked in later steps. */
const MAX_FIRST_ANSWERS = 16;
/** Fraction of the time for recomputations in the background. */
const SPOT_CHECK_TIME_FRACTION = 0.015;

/**
 * Recomputes answers of workers on this machine: the first answer of each worker and all outliers before they are used, and
 * random answers in the background. A worker is banned if its answer differs by more than honest engines do.
 */
export class AnswerValidator {
  readonly #options: AnswerValidatorOptions;
  readonly #layout: Layout;
  readonly #scoring: Scoring;
  readonly #outlierFilter = new OutlierFilter();
  readonly #spotChecks: SpotCheckSchedule;
  readonly quantization = new QuantizationSteps();
  /** First step since a worker's last confirmed answer in which an answer of the worker was used. */
  readonly #unconfirmedSince = new Map<WorkerId, Step>();
  readonly #banned = new Set<WorkerId>();
  #backgroundCheck: BackgroundCheck | null = null;
  #rewindTo: Step | null = null;
  #validateAllUntil = -1;
  /** Whether checks are off, since this machine cannot compute the model correctly. */
  #isDisabled = false;

  constructor(options: AnswerValidatorOptions) {
    const { pool, job, referenceEngine, random } = options;
    this.#options = options;
    this.#layout = layoutOf(job.layout);
    this.#scoring = new Scoring(job);
    this.#spotChecks = new SpotCheckSchedule({ maxTimeFraction: SPOT_CHECK_TIME_FRACTION, random });
    pool.subscribe({
      left: ({ id }) => {
        // The check in the background may find an answer of this worker wrong; the rewind needs the step then.
        if (!this.#unconfirmedSince.has(id)) this.#removeWorker(id);
      },
    });
    referenceEngine.open().catch((error: unknown) => this.#disable(errorMessage(error)));
  }

  /** First step with answers of a banned worker, to which the run should rewind; null if there is none. Resets the request. */
  consumeRewindRequest(): Step | null {
    const step = this.#rewindTo;
    this.#rewindTo = null;
    return step;
  }

  /** Recomputes every answer before it is used, up to this step. */
  validateAllUntil(untilStep: Step): void {
    this.#validateAllUntil = untilStep;
  }

  /** Waits for the check in the background. */
  async waitForChecks(): Promise<void> {
    await this.#backgroundCheck?.done;
  }

  /** Ends all checks, including the one in the background. */
  async close(): Promise<void> {
    // Errors of a closed engine cause no warning.
    this.#isDisabled = true;
    await this.#options.referenceEngine.close();
  }

  /** Checks the answers of a step before they are applied. */
  async review(reviewed: ReviewedStep): Promise<ReviewDecision> {
    if (this.#isDisabled) return 'count';
    const decision = await this.#review(reviewed);
    for (const worker of [
      ...this.#unconfirmedSince.keys(),
      ...reviewed.answers.map(({ worker }) => worker),
    ]) {
      this.#removeIfGone(worker);
    }
    return decision;
  }

  async #review(reviewed: ReviewedStep): Promise<ReviewDecision> {
    const { answers, total, isSumOfAnswers } = reviewed;
    const positions = samplePositions(this.#layout, this.#options.random);
    const measurements = answers.map(({ worker, from, to, lossSum, norm, buckets }) => ({
      worker,
      lossSum,
      norm,
      samples: to - from,
      sampled: valuesAt(positions, buckets),
    }));
    const sampledTotal = valuesAt(positions, [{ offset: 0, values: total }]);
    let decision: ReviewDecision = 'count';
    const confirmed = new Set<number>();
    for (const i of this.#selectUrgent(measurements, reviewed.step)) {
      const answer = answers[i] as GradientAnswer;
      const result = await this.#check(reviewed, answer, () =>
        this.#outlierFilter.confirm(measurements[i] as AnswerMeasurement, measurements),
      );
      if (result === 'wrong') decision = 'repeat';
      if (result !== 'right') continue;
      confirmed.add(i);
      // The check in the background may find an earlier answer of this worker wrong.
      if (answer.worker !== this.#backgroundCheck?.worker) this.#unconfirmedSince.delete(answer.worker);
    }
    if (decision === 'repeat') return decision;
    // The sum may contain a bucket of a worker that has left, which belongs to no answer.
    const sampled = measurements.map((answer) => answer.sampled);
    if (!isSumOfAnswers && !sumMatches(sampledTotal, sampled)) return 'repeat';
    this.#outlierFilter.accept(measurements);
    for (const [i, { worker }] of answers.entries()) {
      if (!confirmed.has(i)) this.#recordUnconfirmed(worker, reviewed.step);
    }
    this.#checkInBackground(reviewed, measurements);
    return 'count';
  }

  /** Keeps the earlier step, since a run repeats steps after a rewind. */
  #recordUnconfirmed(worker: WorkerId, step: Step): void {
    const earlier = (since: Step | null | undefined): Step => Math.min(since ?? Infinity, step) as Step;
    this.#unconfirmedSince.set(worker, earlier(this.#unconfirmedSince.get(worker)));
    const background = this.#backgroundCheck;
    if (background?.worker === worker) background.usedSince = earlier(background.usedSince);
  }

  #removeIfGone(worker: WorkerId): void {
    if (!this.#options.pool.workers.has(worker) && worker !== this.#backgroundCheck?.worker)
      this.#removeWorker(worker);
  }

  #removeWorker(worker: WorkerId): void {
    this.#outlierFilter.remove(worker);
    this.#spotChecks.remove(worker);
    this.quantization.remove(worker);
    this.#unconfirmedSince.delete(worker);
  }

  /** Checks the answers of an evaluation before they are reported. */
  async reviewEvaluation(reviewed: ReviewedEvaluation): Promise<ReviewDecision> {
    if (this.#isDisabled) return 'count';
    let decision: ReviewDecision = 'count';
    for (const answer of pickSuspectShards(reviewed.answers, this.#scoring, this.#options.random)) {
      if (this.#banned.has(answer.worker)) continue;
      const shard = this.#copySamples(reviewed, answer);
      const own = await this.#attempt(() => this.#options.referenceEngine.evaluate(reviewed.weights, shard));
      if (own === null) return decision;
      const comparison = compareScores(answer, own, this.#scoring);
      if (!comparison.differs) continue;
      if (await this.#banIfWrong(reviewed, answer, shard, comparison, 'evaluation')) decision = 'repeat';
    }
    return decision;
  }

  /** Indices of the answers that are recomputed before the step is applied. */
  #selectUrgent(measurements: readonly AnswerMeasurement[], step: Step): number[] {
    const { audit, random } = this.#options;
    if (step <= this.#validateAllUntil) return [...measurements.keys()];
    const outliers = this.#outlierFilter.findOutliers(measurements);
    let firstAnswers = 0;
    return [...measurements.keys()].filter((i) => {
      const { worker } = measurements[i] as AnswerMeasurement;
      const isFirst = !this.#spotChecks.isVerified(worker) && firstAnswers++ < MAX_FIRST_ANSWERS;
      return isFirst || (outliers[i] ?? null) !== null || random() < audit;
    });
  }

  #checkInBackground(reviewed: ReviewedStep, measurements: readonly AnswerMeasurement[]): void {
    if (this.#backgroundCheck !== null) return;
    const { clock } = this.#options;
    const { answers, weights } = reviewed;
    const candidates = answers.map(({ worker }) => ({
      worker,
      suspicion: this.#outlierFilter.suspicionOf(worker),
    }));
    const i = this.#spotChecks.next(candidates, clock.now());
    const answer = i === null ? undefined : answers[i];
    if (i === null || answer === undefined) return;
    const snapshot = { ...reviewed, weights: weights.slice() };
    const onConfirmed = (): void =>
      this.#outlierFilter.confirm(measurements[i] as AnswerMeasurement, measurements);
    const startedMs = clock.now();
    const done = this.#check(snapshot, copyAnswer(answer), onConfirmed).then((result) => {
      this.#spotChecks.addTime(clock.now() - startedMs);
      this.#backgroundCheck = null;
      if (result === 'right') this.#unconfirmedSince.delete(worker);
      // Answers used during the check are not confirmed.
      if (check.usedSince !== null) this.#recordUnconfirmed(worker, check.usedSince);
      this.#removeIfGone(worker);
    });
    const { worker } = answer;
    const check: BackgroundCheck = { worker, usedSince: null, done };
    this.#backgroundCheck = check;
  }

  /** @param onConfirmed called if the answer is right */
  async #check(
    reviewed: ReviewedRound,
    answer: GradientAnswer,
    onConfirmed: () => void,
  ): Promise<CheckResult> {
    const { referenceEngine } = this.#options;
    const shard = this.#copySamples(reviewed, answer);
    const own = await this.#attempt(() => referenceEngine.gradient(reviewed.step, reviewed.weights, shard));
    const comparison = own === null ? null : compareGradients(answer, own, this.#scoring);
    if (comparison === null) return 'unknown';
    if (comparison.differs) {
      return (await this.#banIfWrong(reviewed, answer, shard, comparison, 'gradient')) ? 'wrong' : 'unknown';
    }
    onConfirmed();
    this.#spotChecks.confirm(answer.worker);
    return 'right';
  }

  #copySamples({ batch }: ReviewedRound, { from, to }: Range): Shard {
    const { job } = this.#options;
    const payload = new Uint8Array(shardBytes(to - from, job));
    writeShard(payload, sliceShard(batch, from, to), job);
    return viewShard(payload, to - from, job);
  }

  /** @returns whether the worker was banned */
  async #banIfWrong(
    { step, weights }: ReviewedRound,
    { worker, from, to }: Answer,
    shard: Shard,
    { quantity, difference, tolerance }: Comparison,
    task: 'gradient' | 'evaluation',
  ): Promise<boolean> {
    const { referenceEngine } = this.#options;
    const verification = await this.#attempt(async () => ({
      difference: await referenceEngine.verifyEngine(step, weights, shard),
    }));
    if (verification === null) return false;
    if (verification.difference !== null) {
      this.#disable(
        `two engines of this machine differ by ${formatPercent(verification.difference)} for this model`,
      );
      return false;
    }
    if (this.#banned.has(worker)) return true;
    this.#banned.add(worker);
    const since = this.#unconfirmedSince.get(worker);
    const samples = `${to - from} samples of step ${step}`;
    const subject =
      task === 'evaluation' ? `the ${quantity} in its evaluation` : `the ${quantity} in its answer`;
    this.#ban(
      worker,
      `${subject} for ${samples} differs by ${formatPercent(difference)} from the value that the coordinator computed; honest engines differ by at most ${formatPercent(tolerance)}`,
    );
    if (since !== undefined && task === 'gradient') {
      this.#rewindTo = Math.min(since, this.#rewindTo ?? Infinity) as Step;
    }
    return true;
  }

  /** Drops a worker, with a warning that names its device. @param finding phrase that says which value is wrong */
  #ban(worker: WorkerId, finding: string): void {
    const { pool, report } = this.#options;
    const banned = pool.workers.get(worker);
    if (banned === undefined) {
      report.warn(`A worker that has left gave a wrong answer: ${finding}.`, { event: 'banned' });
      return;
    }
    const { name, engine, health } = banned;
    report.warn(
      `${name} (${engine.backend} on ${engine.device}) is banned: ${finding}. ${pluralize(health.acceptedAnswers, 'answer')} of this worker had been accepted.`,
      { event: 'banned', worker: name, ...engine, accepted: health.acceptedAnswers },
    );
    pool.drop(banned, CloseCode.wrongGradient, `${finding.charAt(0).toUpperCase()}${finding.slice(1)}.`);
  }

  async #attempt<Result>(compute: () => Promise<Result>): Promise<Result | null> {
    try {
      return await compute();
    } catch (error) {
      this.#disable(errorMessage(error));
      return null;
    }
  }

  #disable(reason: string): void {
    if (this.#isDisabled) return;
    this.#isDisabled = true;
    this.#options.report.warn(
      `Answers of workers are not checked: ${reason.replace(/\.$/, '')}. Use --token to admit only workers that you trust.`,
      { event: 'unchecked' },
    );
  }
}

function formatPercent(part: number): string {
  if (!(part < 10)) return `a factor of ${part.toPrecision(2)}`;
  return part < 0.1 ? `${(100 * part).toPrecision(2)}%` : `${Math.round(100 * part)}%`;
}
