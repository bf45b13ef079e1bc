import type { Clock } from '../../shared/util/clock.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf, type Layout } from '../../shared/model/layout.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Step, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Reporter } from '../report/reporter.ts';
import { copyAnswer, type Answer, type GradientAnswer } from './answer.ts';
import { ban } from './ban.ts';
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
  /** The part of the shards that are recomputed before they count, besides those that are by default. */
  readonly audit: number;
  /** In [0, 1) */
  readonly random: () => number;
}

/** What a round's answers were made of. */
export interface ReviewedRound {
  readonly step: Step;
  /** What the workers computed with. */
  readonly weights: Float32Array;
  /** Copies of the samples at these positions. */
  readonly samplesOf: (range: Range) => Shard;
}

export interface ReviewedStep extends ReviewedRound {
  readonly answers: readonly GradientAnswer[];
  /** The sum that is about to be applied. */
  readonly total: Float32Array;
  /** See CollectedAnswers. */
  readonly isSumOfAnswers: boolean;
}

export interface ReviewedEvaluation extends ReviewedRound {
  readonly answers: readonly Answer[];
}

/** Whether a round's sums may be used, or the round has to be repeated without a worker that was banned. */
export type ReviewDecision = 'count' | 'repeat';

/** What is known of an answer after it was to be recomputed. */
type Verdict = 'right' | 'wrong' | 'unknown';

/** A recomputation while the run goes on. */
interface BackgroundCheck {
  readonly worker: WorkerId;
  /** First step since it began in which an answer of this worker has counted. */
  countedSince: Step | null;
  readonly done: Promise<void>;
}

/** First answers of as many workers are recomputed in one step; those of more wait for the next ones. */
const MAX_FIRST_ANSWERS = 16;
/** Of the time, for recomputations while the run goes on. */
const SPOT_CHECK_TIME_FRACTION = 0.015;

/**
 * Recomputes answers of workers on this machine: each worker's first one, those unlike the others' before they count, and now
 * and then any, while the run goes on. A difference that honest engines do not make is proof, whatever other workers say.
 */
export class AnswerValidator {
  readonly #options: AnswerValidatorOptions;
  readonly #layout: Layout;
  readonly #outlierFilter = new OutlierFilter();
  readonly #spotChecks: SpotCheckSchedule;
  readonly quantization = new QuantizationSteps();
  /** First step since a worker's last confirmed answer in which one of it has counted. */
  readonly #unconfirmedSince = new Map<WorkerId, Step>();
  /** One wrong answer is enough. */
  readonly #banned = new Set<WorkerId>();
  #backgroundCheck: BackgroundCheck | null = null;
  #rewindTo: Step | null = null;
  #validateAllUntil = -1;
  /** This machine cannot compute the model, or not right. */
  #disabled = false;

  constructor(options: AnswerValidatorOptions) {
    const { pool, job, referenceEngine, random } = options;
    this.#options = options;
    this.#layout = layoutOf(job.layout);
    this.#spotChecks = new SpotCheckSchedule({ maxTimeFraction: SPOT_CHECK_TIME_FRACTION, random });
    pool.subscribe({
      left: ({ id }) => {
        // Its last answers may still turn out wrong: then it matters since when they have counted.
        if (!this.#unconfirmedSince.has(id)) this.#forget(id);
      },
    });
    referenceEngine.open().catch((error: unknown) => this.#disable(errorMessage(error)));
  }

  /** A step up to which the run should go back, since a banned worker's answers have counted from then on; null if there is none. */
  consumeRewindRequest(): Step | null {
    const step = this.#rewindTo;
    this.#rewindTo = null;
    return step;
  }

  /** Has every answer recomputed before it counts, up to this step. */
  validateAllUntil(untilStep: Step): void {
    this.#validateAllUntil = untilStep;
  }

  /** Waits for the recomputation that is going on. */
  async waitForChecks(): Promise<void> {
    await this.#backgroundCheck?.done;
  }

  /** Ends all checks, those that are going on too. */
  async close(): Promise<void> {
    // What a closed engine says is no reason to warn.
    this.#disabled = true;
    await this.#options.referenceEngine.close();
  }

  /** Looks at the answers of a step before they are applied. */
  async review(reviewed: ReviewedStep): Promise<ReviewDecision> {
    if (this.#disabled) return 'count';
    const decision = await this.#review(reviewed);
    for (const worker of [
      ...this.#unconfirmedSince.keys(),
      ...reviewed.answers.map(({ worker }) => worker),
    ]) {
      this.#forgetIfGone(worker);
    }
    return decision;
  }

  async #review(reviewed: ReviewedStep): Promise<ReviewDecision> {
    const { answers, total, isSumOfAnswers } = reviewed;
    const positions = samplePositions(this.#layout, this.#options.random);
    const screened = answers.map(({ worker, from, to, lossSum, norm, buckets }) => ({
      worker,
      lossSum,
      norm,
      samples: to - from,
      sampled: valuesAt(positions, buckets),
    }));
    const sampledTotal = valuesAt(positions, [{ offset: 0, values: total }]);
    let decision: ReviewDecision = 'count';
    const confirmed = new Set<number>();
    for (const i of this.#selectUrgent(screened, reviewed.step)) {
      const answer = answers[i] as GradientAnswer;
      const verdict = await this.#check(reviewed, answer, () =>
        this.#outlierFilter.confirm(screened[i] as AnswerMeasurement, screened),
      );
      if (verdict === 'wrong') decision = 'repeat';
      if (verdict !== 'right') continue;
      confirmed.add(i);
      // An earlier answer that is being recomputed may still turn out wrong.
      if (answer.worker !== this.#backgroundCheck?.worker) this.#unconfirmedSince.delete(answer.worker);
    }
    if (decision === 'repeat') return decision;
    // A worker that sent a part of a gradient and left: what the sum has of it was in no answer.
    const sampled = screened.map((answer) => answer.sampled);
    if (!isSumOfAnswers && !sumMatches(sampledTotal, sampled)) return 'repeat';
    this.#outlierFilter.accept(screened);
    for (const [i, { worker }] of answers.entries()) {
      if (!confirmed.has(i)) this.#countUnconfirmed(worker, reviewed.step);
    }
    this.#checkInBackground(reviewed, screened);
    return 'count';
  }

  /** The earlier step stays: a run that has gone back does steps again. */
  #countUnconfirmed(worker: WorkerId, step: Step): void {
    const earlier = (since: Step | null | undefined): Step => Math.min(since ?? Infinity, step) as Step;
    this.#unconfirmedSince.set(worker, earlier(this.#unconfirmedSince.get(worker)));
    const background = this.#backgroundCheck;
    if (background?.worker === worker) background.countedSince = earlier(background.countedSince);
  }

  #forgetIfGone(worker: WorkerId): void {
    if (!this.#options.pool.workers.has(worker) && worker !== this.#backgroundCheck?.worker)
      this.#forget(worker);
  }

  #forget(worker: WorkerId): void {
    this.#outlierFilter.remove(worker);
    this.#spotChecks.remove(worker);
    this.quantization.remove(worker);
    this.#unconfirmedSince.delete(worker);
  }

  /** Looks at the answers of an evaluation before they are reported. */
  async reviewEvaluation(reviewed: ReviewedEvaluation): Promise<ReviewDecision> {
    if (this.#disabled) return 'count';
    let decision: ReviewDecision = 'count';
    for (const answer of pickSuspectShards(reviewed.answers, this.#options.random)) {
      if (this.#banned.has(answer.worker)) continue;
      const shard = reviewed.samplesOf(answer);
      const own = await this.#attempt(() => this.#options.referenceEngine.evaluate(reviewed.weights, shard));
      if (own === null) return decision;
      const comparison = compareScores(answer, own);
      if (!comparison.differs) continue;
      if (await this.#banIfWrong(reviewed, answer, shard, comparison, 'evaluation')) decision = 'repeat';
    }
    return decision;
  }

  /** Positions of answers that are recomputed before the step counts. */
  #selectUrgent(screened: readonly AnswerMeasurement[], step: Step): number[] {
    const { audit, random } = this.#options;
    if (step <= this.#validateAllUntil) return [...screened.keys()];
    const alarms = this.#outlierFilter.findOutliers(screened);
    let first = 0;
    return [...screened.keys()].filter((i) => {
      const { worker } = screened[i] as AnswerMeasurement;
      const isFirst = !this.#spotChecks.isVerified(worker) && first++ < MAX_FIRST_ANSWERS;
      return isFirst || (alarms[i] ?? null) !== null || random() < audit;
    });
  }

  #checkInBackground(reviewed: ReviewedStep, screened: readonly AnswerMeasurement[]): void {
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
    const shard = reviewed.samplesOf(answer);
    const kept = { ...reviewed, weights: weights.slice(), samplesOf: () => shard };
    const confirmed = (): void => this.#outlierFilter.confirm(screened[i] as AnswerMeasurement, screened);
    const startedMs = clock.now();
    const done = this.#check(kept, copyAnswer(answer), confirmed).then((verdict) => {
      this.#spotChecks.addTime(clock.now() - startedMs);
      this.#backgroundCheck = null;
      if (verdict === 'right') this.#unconfirmedSince.delete(worker);
      // What has counted in the meantime is not confirmed.
      if (check.countedSince !== null) this.#countUnconfirmed(worker, check.countedSince);
      this.#forgetIfGone(worker);
    });
    const { worker } = answer;
    const check: BackgroundCheck = { worker, countedSince: null, done };
    this.#backgroundCheck = check;
  }

  /** @param confirmed called if it is right */
  async #check(reviewed: ReviewedRound, answer: GradientAnswer, confirmed: () => void): Promise<Verdict> {
    const { referenceEngine } = this.#options;
    const shard = reviewed.samplesOf(answer);
    const own = await this.#attempt(() => referenceEngine.gradient(reviewed.step, reviewed.weights, shard));
    const comparison = own === null ? null : compareGradients(answer, own);
    if (comparison === null) return 'unknown';
    if (comparison.differs) {
      return (await this.#banIfWrong(reviewed, answer, shard, comparison, 'gradient')) ? 'wrong' : 'unknown';
    }
    confirmed();
    this.#spotChecks.confirm(answer.worker);
    return 'right';
  }

  /** @returns whether the worker was banned */
  async #banIfWrong(
    { step, weights }: ReviewedRound,
    { worker, from, to }: Answer,
    shard: Shard,
    { quantity, difference, tolerance }: Comparison,
    task: 'gradient' | 'evaluation',
  ): Promise<boolean> {
    const { pool, report, referenceEngine } = this.#options;
    const doubt = await this.#attempt(async () => ({
      difference: await referenceEngine.verifyEngine(step, weights, shard),
    }));
    if (doubt === null) return false;
    if (doubt.difference !== null) {
      this.#disable(
        `two engines of this machine differ by ${formatPercent(doubt.difference)} about this model`,
      );
      return false;
    }
    if (this.#banned.has(worker)) return true;
    this.#banned.add(worker);
    const since = this.#unconfirmedSince.get(worker);
    const samples = `${to - from} samples of step ${step}`;
    const subject =
      task === 'evaluation' ? `the ${quantity} in its evaluation` : `the ${quantity} that it found`;
    ban(
      pool,
      report,
      worker,
      `${subject} for ${samples} differs by ${formatPercent(difference)} from what the coordinator computed; honest engines differ by at most ${formatPercent(tolerance)}`,
    );
    if (since !== undefined && task === 'gradient') {
      this.#rewindTo = Math.min(since, this.#rewindTo ?? Infinity) as Step;
    }
    return true;
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
    if (this.#disabled) return;
    this.#disabled = true;
    this.#options.report.warn(
      `Answers of workers are not checked: ${reason.replace(/\.$/, '')}. Use --token, so that only workers that you trust can join.`,
      { event: 'unchecked' },
    );
  }
}

function formatPercent(part: number): string {
  if (!(part < 10)) return `a factor of ${part.toPrecision(2)}`;
  return part < 0.1 ? `${(100 * part).toPrecision(2)}%` : `${Math.round(100 * part)}%`;
}
