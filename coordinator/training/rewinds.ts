import type { Step } from '../../shared/protocol/messages.ts';
import type { Reporter } from '../report/report.ts';
import type { EpochTotals } from '../storage/checkpoint.ts';
import { LossSpikeDetector } from './loss-jump.ts';
import type { StepRunner } from './round-runner.ts';
import { RunSnapshots } from './snapshots.ts';

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
  readonly stepRunner: Partial<Pick<StepRunner, 'waitForChecks' | 'consumeRewindRequest' | 'rewind' | 'validateAllUntil'>>;
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
        { event: 'spoilt' },
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
        { event: 'jumped', from: steps },
      );
    } else {
      this.#spikeStep = steps;
      stepRunner.validateAllUntil?.(steps as Step);
      report.warn?.(
        `${what}: the run goes back to step ${place.steps}, and recomputes every answer up to there.`,
        { event: 'jumped', from: steps, to: place.steps },
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
