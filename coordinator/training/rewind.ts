import type { Step } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';
import type { Reporter } from '../report/reporter.ts';
import type { EpochTotals } from '../run/checkpoint.ts';
import type { StepRunner } from './step.ts';

/** Position of a run between two steps, without its vectors. */
export interface RunPosition {
  /** Finished steps of the epoch. */
  readonly index: number;
  /** Finished steps of the run. */
  readonly steps: number;
  readonly tally: EpochTotals;
}

export interface RewindControllerOptions {
  /** Weights and the optimizer's vectors, which training changes in place. */
  readonly vectors: readonly Float32Array[];
  /** Mean loss of guessing; null if it is not known, Infinity if no loss is a jump. */
  readonly chanceLoss: number | null;
  readonly stepRunner: Partial<
    Pick<StepRunner, 'waitForChecks' | 'consumeRewindRequest' | 'rewind' | 'validateAllUntil'>
  >;
  readonly report: Partial<Pick<Reporter, 'warn'>>;
}

/** A finished step. */
export interface FinishedStep {
  /** Finished steps of the run, this one included. */
  readonly steps: number;
  /** Mean loss of the step's samples. */
  readonly loss: number;
  readonly isLastOfEpoch: boolean;
}

/** Steps between two snapshots. A snapshot of three vectors takes a tenth of a step. */
const SNAPSHOT_STEPS = 25;

/**
 * Rewinds a run to an earlier step of the epoch: when a banned worker's answers were summed, and when the loss jumps. The steps
 * are then repeated with the same batches and masks.
 */
export class RewindController {
  readonly #options: RewindControllerOptions;
  readonly #snapshots: RunSnapshots<RunPosition>;
  readonly #lossSpikes: LossSpikeDetector;
  /** Index in the epoch of this process's first step; null before that step. */
  #firstIndex: number | null = null;
  /** Step of the last rewind because of the loss. A second jump at the same step is not a worker's fault. */
  #spikeStep = -1;

  constructor(options: RewindControllerOptions) {
    this.#options = options;
    this.#snapshots = new RunSnapshots<RunPosition>(options.vectors);
    this.#lossSpikes = new LossSpikeDetector(options.chanceLoss);
  }

  /** Call before each epoch: it drops the snapshots of the last one. */
  beginEpoch(): void {
    this.#snapshots.clear();
    this.#firstIndex = null;
  }

  /** Call before each step: it takes a snapshot every SNAPSHOT_STEPS steps. */
  beforeStep(position: RunPosition): void {
    const { index, steps } = position;
    this.#firstIndex ??= index;
    if ((index - this.#firstIndex) % SNAPSHOT_STEPS === 0) this.#snapshots.save(steps, position);
  }

  /**
   * Call after each step, before it is reported.
   * @returns position to continue from, whose vectors have been restored; null if the run was not rewound
   */
  async afterStep(step: FinishedStep): Promise<RunPosition | null> {
    return (await this.#afterBan(step)) ?? this.#afterLossSpike(step);
  }

  async #afterBan({ steps, isLastOfEpoch }: FinishedStep): Promise<RunPosition | null> {
    const { stepRunner, report } = this.#options;
    if (isLastOfEpoch) await stepRunner.waitForChecks?.();
    const since = stepRunner.consumeRewindRequest?.() ?? null;
    if (since === null) return null;
    const position = this.#restore(since);
    if (position === null) {
      report.warn?.(
        'Answers of a banned worker stay in the weights: this model is too large for snapshots to rewind to.',
        { event: 'rewindFailed' },
      );
    } else {
      report.warn?.(
        `The run rewinds from step ${steps} to step ${position.steps}, and repeats the steps without the answers of a banned worker.`,
        { event: 'rewound', from: steps, to: position.steps },
      );
    }
    return position;
  }

  #afterLossSpike({ steps, loss }: FinishedStep): RunPosition | null {
    const { stepRunner, report } = this.#options;
    if (!this.#lossSpikes.record(loss)) return null;
    const typical = this.#lossSpikes.typicalLoss ?? this.#lossSpikes.chanceLoss;
    const observation = `The loss jumped from ${typical.toPrecision(2)} to ${loss.toPrecision(2)} at step ${steps}`;
    const position = steps > this.#spikeStep ? this.#restore(steps - 1) : null;
    if (position === null) {
      this.#lossSpikes.reset();
      report.warn?.(
        `${observation}, although all answers were right: the training itself diverges. Stop it and resume from the last checkpoint with a smaller learning rate.`,
        { event: 'lossSpike', from: steps },
      );
    } else {
      this.#spikeStep = steps;
      stepRunner.validateAllUntil?.(steps as Step);
      report.warn?.(
        `${observation}: the run rewinds to step ${position.steps}, and recomputes every answer up to step ${steps}.`,
        { event: 'lossSpike', from: steps, to: position.steps },
      );
    }
    return position;
  }

  #restore(beforeStep: number): RunPosition | null {
    const position = this.#snapshots.restore(beforeStep);
    if (position !== null) this.#options.stepRunner.rewind?.();
    return position;
  }
}

const LOSS_WINDOW = 32;
/** Number of losses that a median needs. */
const MIN_STEPS = 8;
/** Ratio to the median above which a loss is a jump. Losses of a healthy run vary by less. */
const MAX_TIMES_MEDIAN = 10;
/** Ratio to the loss of guessing, with which a run begins, up to which no loss is a jump. */
const MAX_TIMES_CHANCE = 2;

/** Detects jumps of the loss: far above the recent losses, and above the loss of guessing. */
export class LossSpikeDetector {
  #chanceLoss: number;
  /** Whether the loss of guessing is that of the first steps. */
  readonly #isMeasured: boolean;
  #measured = 0;
  #recent: number[] = [];

  /** @param chanceLoss mean loss of guessing; null to take the largest one of the first steps */
  constructor(chanceLoss: number | null) {
    this.#chanceLoss = chanceLoss ?? 0;
    this.#isMeasured = chanceLoss === null;
  }

  /** Mean loss of guessing, with which a run begins. */
  get chanceLoss(): number {
    return this.#chanceLoss;
  }

  /** Median loss of the last steps; null before MIN_STEPS of them. */
  get typicalLoss(): number | null {
    return this.#recent.length < MIN_STEPS ? null : median(this.#recent);
  }

  /**
   * @param loss mean loss of a step's samples
   * @returns whether it is a jump; a jump does not change the median
   */
  record(loss: number): boolean {
    if (this.#isMeasured && this.#measured < MIN_STEPS) {
      this.#measured++;
      this.#chanceLoss = Math.max(this.#chanceLoss, loss);
    }
    const isUsual = loss <= MAX_TIMES_CHANCE * this.#chanceLoss;
    if (!isUsual && !(loss <= MAX_TIMES_MEDIAN * (this.typicalLoss ?? Infinity))) return true;
    this.#recent = [...this.#recent, loss].slice(-LOSS_WINDOW);
    return false;
  }

  /** Forgets the recent losses. */
  reset(): void {
    this.#recent = [];
  }
}

/** Copies of a run's vectors before a step, with the position to continue from. */
interface Snapshot<Position> {
  readonly step: number;
  readonly position: Position;
  readonly vectors: readonly Float32Array[];
}

/** Maximum number of snapshots: the first of the epoch and the two newest. */
const MAX_SNAPSHOTS = 3;
/** Maximum size of all snapshots: a large model has fewer of them, or none. */
const MAX_BYTES = 512 << 20;

/** Snapshots in memory that a run can be rewound to. */
export class RunSnapshots<Position> {
  readonly #vectors: readonly Float32Array[];
  readonly #maxSnapshots: number;
  #snapshots: Snapshot<Position>[] = [];

  /** @param vectors that training changes in place */
  constructor(vectors: readonly Float32Array[]) {
    this.#vectors = vectors;
    const bytes = vectors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.#maxSnapshots = Math.min(MAX_SNAPSHOTS, Math.floor(MAX_BYTES / Math.max(1, bytes)));
  }

  /**
   * Takes a snapshot before a step. If there are too many, the second oldest one is replaced.
   * @param position value that `restore` returns
   */
  save(step: number, position: Position): void {
    const snapshots = this.#snapshots;
    // After a rewind, the snapshot of that step is still there.
    if (this.#maxSnapshots === 0 || snapshots.at(-1)?.step === step) return;
    const reused =
      snapshots.length < this.#maxSnapshots
        ? undefined
        : snapshots.splice(Math.min(1, snapshots.length - 1), 1)[0];
    const vectors = reused?.vectors ?? this.#vectors.map(({ length }) => new Float32Array(length));
    for (const [i, vector] of this.#vectors.entries()) vectors[i]?.set(vector);
    snapshots.push({ step, position, vectors });
  }

  /**
   * Restores the vectors of the newest snapshot before this step or, if there is none so old, of the oldest one.
   * @returns its position; null if there is no snapshot
   */
  restore(beforeStep: number): Position | null {
    const [oldest] = this.#snapshots;
    const snapshot = this.#snapshots.findLast(({ step }) => step <= beforeStep) ?? oldest;
    if (snapshot === undefined) return null;
    for (const [i, vector] of this.#vectors.entries()) vector.set(snapshot.vectors[i] ?? []);
    this.#snapshots = this.#snapshots.filter(({ step }) => step <= snapshot.step);
    return snapshot.position;
  }

  /** Drops all snapshots. */
  clear(): void {
    this.#snapshots = [];
  }
}
