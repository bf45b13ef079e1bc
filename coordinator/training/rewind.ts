import type { Step } from '../../shared/protocol/messages.ts';
import type { Reporter } from '../report/reporter.ts';
import type { EpochTotals } from '../run/checkpoint.ts';
import type { StepRunner } from './step.ts';

/** Where a run stands between two steps, besides its vectors. */
export interface RunPosition {
  /** Steps done of the epoch. */
  readonly index: number;
  /** Steps done of the run. */
  readonly steps: number;
  readonly tally: EpochTotals;
}

export interface RewindControllerOptions {
  /** Weights and the optimizer's vectors, which training changes in place. */
  readonly vectors: readonly Float32Array[];
  /** Classes of the data. */
  readonly classes: number;
  readonly stepRunner: Partial<
    Pick<StepRunner, 'waitForChecks' | 'consumeRewindRequest' | 'rewind' | 'validateAllUntil'>
  >;
  readonly report: Partial<Pick<Reporter, 'warn'>>;
}

/** A finished step. */
export interface FinishedStep {
  /** Steps done of the run, this one included. */
  readonly steps: number;
  /** Mean of the step's samples. */
  readonly loss: number;
  readonly isLastOfEpoch: boolean;
}

/** Copying three vectors takes a tenth of a step. */
const SNAPSHOT_STEPS = 25;

/**
 * Takes a run back to an earlier step of the epoch: when answers of a banned worker have counted, and when the loss jumps. Steps
 * are then done again with the same batches and masks.
 */
export class RewindController {
  readonly #options: RewindControllerOptions;
  readonly #snapshots: RunSnapshots<RunPosition>;
  readonly #lossSpikes: LossSpikeDetector;
  /** Steps of the epoch before the first one of this process; null before that. */
  #firstIndex: number | null = null;
  /** Steps after which a jump of the loss has taken the run back; a second one at the same step is the run's own. */
  #spikeStep = -1;

  constructor(options: RewindControllerOptions) {
    this.#options = options;
    this.#snapshots = new RunSnapshots<RunPosition>(options.vectors);
    this.#lossSpikes = new LossSpikeDetector(options.classes);
  }

  /** To be called before each epoch: states of the last one are not gone back to. */
  beginEpoch(): void {
    this.#snapshots.clear();
    this.#firstIndex = null;
  }

  /** To be called before each step: keeps a state every so many steps. */
  beforeStep(place: RunPosition): void {
    this.#firstIndex ??= place.index;
    if ((place.index - this.#firstIndex) % SNAPSHOT_STEPS === 0) this.#snapshots.save(place.steps, place);
  }

  /**
   * To be called after each step, before it is reported.
   * @returns where the run has gone back to: its vectors are those of then; null if it stays where it is
   */
  async afterStep(step: FinishedStep): Promise<RunPosition | null> {
    return (await this.#afterBan(step)) ?? this.#afterLossSpike(step);
  }

  async #afterBan({ steps, isLastOfEpoch }: FinishedStep): Promise<RunPosition | null> {
    const { stepRunner, report } = this.#options;
    if (isLastOfEpoch) await stepRunner.waitForChecks?.();
    const since = stepRunner.consumeRewindRequest?.() ?? null;
    if (since === null) return null;
    const place = this.#restore(since);
    if (place === null) {
      report.warn?.(
        'What a banned worker has contributed stays in the weights: this model is too large to go back.',
        { event: 'rewindFailed' },
      );
    } else {
      report.warn?.(
        `The run goes back from step ${steps} to step ${place.steps}, to do without the answers of a banned worker.`,
        { event: 'rewound', from: steps, to: place.steps },
      );
    }
    return place;
  }

  #afterLossSpike({ steps, loss }: FinishedStep): RunPosition | null {
    const { classes, stepRunner, report } = this.#options;
    const usual = this.#lossSpikes.typicalLoss ?? Math.log(classes);
    if (!this.#lossSpikes.record(loss)) return null;
    const what = `The loss jumped from ${usual.toPrecision(2)} to ${loss.toPrecision(2)} at step ${steps}`;
    const place = steps > this.#spikeStep ? this.#restore(steps - 1) : null;
    if (place === null) {
      this.#lossSpikes.reset();
      report.warn?.(
        `${what}, without a wrong answer: the training itself diverges. Stop it and resume from the last checkpoint with a smaller learning rate.`,
        { event: 'lossSpike', from: steps },
      );
    } else {
      this.#spikeStep = steps;
      stepRunner.validateAllUntil?.(steps as Step);
      report.warn?.(
        `${what}: the run goes back to step ${place.steps}, and recomputes every answer up to there.`,
        { event: 'lossSpike', from: steps, to: place.steps },
      );
    }
    return place;
  }

  #restore(beforeStep: number): RunPosition | null {
    const place = this.#snapshots.restore(beforeStep);
    if (place !== null) this.#options.stepRunner.rewind?.();
    return place;
  }
}

const LOSS_WINDOW = 32;
/** Before so many steps nothing is usual. */
const MIN_STEPS = 8;
/** Losses of a healthy run vary by less. */
const MAX_TIMES_MEDIAN = 10;
/** A loss up to this many times that of guessing is no jump: a run begins there. */
const MAX_TIMES_CHANCE = 2;

/** Notices that the loss of a run has jumped: far above what it was, and above what guessing gives. */
export class LossSpikeDetector {
  readonly #chanceLoss: number;
  #recent: number[] = [];

  /** @param classes of the data */
  constructor(classes: number) {
    this.#chanceLoss = Math.log(Math.max(2, classes));
  }

  /** The usual loss of the last steps; null while too few are known. */
  get typicalLoss(): number | null {
    if (this.#recent.length < MIN_STEPS) return null;
    return this.#recent.toSorted((a, b) => a - b)[this.#recent.length >> 1] ?? null;
  }

  /**
   * @param loss mean of a step's samples
   * @returns whether it is a jump; then it does not become usual
   */
  record(loss: number): boolean {
    const { typicalLoss } = this;
    const limit = Math.max(MAX_TIMES_MEDIAN * (typicalLoss ?? Infinity), MAX_TIMES_CHANCE * this.#chanceLoss);
    if (!(loss <= limit)) return true;
    this.#recent = [...this.#recent, loss].slice(-LOSS_WINDOW);
    return false;
  }

  /** What was usual is not any more. */
  reset(): void {
    this.#recent = [];
  }
}

/** Vectors of a run as they were before a step, with what else is needed to train on from there. */
interface Snapshot<Place> {
  readonly step: number;
  readonly position: Place;
  readonly vectors: readonly Float32Array[];
}

/** Of one epoch: its beginning, and the two newest. */
const MAX_SNAPSHOTS = 3;
/** In all; of a model that needs more there are fewer snapshots, or none. */
const MAX_BYTES = 512 << 20;

/** States in memory that a run can go back to when a worker has spoilt it. */
export class RunSnapshots<Place> {
  readonly #vectors: readonly Float32Array[];
  readonly #maxSnapshots: number;
  #snapshots: Snapshot<Place>[] = [];

  /** @param vectors that training changes in place */
  constructor(vectors: readonly Float32Array[]) {
    this.#vectors = vectors;
    const bytes = vectors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.#maxSnapshots = Math.min(MAX_SNAPSHOTS, Math.floor(MAX_BYTES / Math.max(1, bytes)));
  }

  /**
   * Keeps what there is before a step; of older snapshots, the first and the newest stay.
   * @param position what `restore` gives back
   */
  save(step: number, position: Place): void {
    const held = this.#snapshots;
    // After going back to a step, that state is still there.
    if (this.#maxSnapshots === 0 || held.at(-1)?.step === step) return;
    const reused =
      held.length < this.#maxSnapshots ? undefined : held.splice(Math.min(1, held.length - 1), 1)[0];
    const vectors = reused?.vectors ?? this.#vectors.map(({ length }) => new Float32Array(length));
    for (const [i, vector] of this.#vectors.entries()) vectors[i]?.set(vector);
    held.push({ step, position, vectors });
  }

  /**
   * Puts back the newest state before this step or, if there is none so old, the oldest one.
   * @returns its place; null if nothing is kept
   */
  restore(beforeStep: number): Place | null {
    const [oldest] = this.#snapshots;
    const snapshot = this.#snapshots.findLast(({ step }) => step <= beforeStep) ?? oldest;
    if (snapshot === undefined) return null;
    for (const [i, vector] of this.#vectors.entries()) vector.set(snapshot.vectors[i] ?? []);
    this.#snapshots = this.#snapshots.filter(({ step }) => step <= snapshot.step);
    return snapshot.position;
  }

  /** What is kept is not to be gone back to any more. */
  clear(): void {
    this.#snapshots = [];
  }
}
