import type { Clock } from '../../shared/util/clock.ts';
import type { Plateau } from '../optimizer/plateau.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import type { Job } from '../../shared/model/job.ts';
import {
  encodeCheckpoint,
  hasLaterCheckpoint,
  removeLaterCheckpoints,
  saveCheckpoint,
  type Checkpoint,
  type EpochTotals,
  type Position,
} from './checkpoint.ts';
import { describeDiskError } from '../files/disk-error.ts';
import type { WriteOptions } from '../files/write-file.ts';

/** Interval between checkpoints within an epoch. */
export type CheckpointInterval = { readonly steps: number } | { readonly ms: number };
export const DEFAULT_CHECKPOINT_INTERVAL: CheckpointInterval = { ms: 300_000 };

export interface CheckpointWriterOptions {
  readonly dir: string;
  readonly every: CheckpointInterval;
  readonly job: Job;
  /** See datasetDigest. */
  readonly dataDigest?: string | undefined;
  /** Weights of training samples by class. */
  readonly classWeights?: Checkpoint['classWeights'];
  /** Current weights and optimizer state. The trainer changes them in place. */
  readonly vectors: Checkpoint['vectors'];
  /** Fingerprint of the engines of an exact run; null in other runs and before the first worker has sent one. */
  readonly engineFingerprint?: () => string | null;
  /** Schedule whose state is saved. @default none */
  readonly plateau?: Pick<Plateau, 'state'> | null;
  /** State of callbacks; null if there is none. @default none */
  readonly callbacks?: () => Checkpoint['callbacks'] | null;
  readonly clock: Clock;
  /** See WriteOptions. */
  readonly write?: WriteOptions;
  /** Called once when writing fails, and once when it succeeds again. Training continues meanwhile. */
  readonly warn: (line: string) => void;
}

/** Event after which a checkpoint may be due: a step, an epoch, the stop of a run, or a return to an earlier step. */
export type CheckpointReason = 'step' | 'epoch' | 'stop' | 'rewound';

/** Writes checkpoints when they are due, in the background, so that the next step does not wait for the disk. */
export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  #lastMs: number;
  #writing: Promise<void> | null = null;
  #hasWritten = false;
  #failure: string | null = null;

  constructor(options: CheckpointWriterOptions) {
    this.#options = options;
    this.#lastMs = options.clock.now();
  }

  /** Writes a checkpoint before the first step, so that a run that is killed during that step can be resumed. */
  writeInitial(): Promise<void> {
    const noTotals = { samples: 0, ...new Scoring(this.#options.job).zero, seconds: 0 };
    return this.#write({ epoch: 1, step: 0, steps: 0 }, noTotals);
  }

  /** Whether a checkpoint was written. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /**
   * Writes a checkpoint if one is due. Called between two steps. Resolves at once after a step; after other events, when the
   * checkpoint is on disk.
   */
  async record(reason: CheckpointReason, position: Position, totals: EpochTotals): Promise<void> {
    if (reason === 'step') {
      // On a slow disk the previous write may still run; then the next step is due.
      if (this.#isDue(position) && this.#writing === null) void this.#write(position, totals);
      return;
    }
    await this.#writing;
    const { dir } = this.#options;
    if (reason !== 'rewound') return this.#write(position, totals);
    // Checkpoints of later steps hold the weights that the run has discarded. Write the good one before removing them.
    if (!(await hasLaterCheckpoint(dir, position.steps))) return;
    await this.#write(position, totals);
    if (this.#failure !== null) return;
    await removeLaterCheckpoints(dir, position.steps).catch((error: unknown) => {
      this.#options.warn(
        `Checkpoints after step ${position.steps} cannot be removed from ${dir}: ${describeDiskError(error)}. ` +
          'Remove them, or --resume starts from weights that the run has discarded.',
      );
    });
  }

  #isDue({ steps }: Position): boolean {
    const { every, clock } = this.#options;
    return 'steps' in every ? steps % every.steps === 0 : clock.now() - this.#lastMs >= every.ms;
  }

  #write(position: Position, totals: EpochTotals): Promise<void> {
    this.#lastMs = this.#options.clock.now();
    this.#writing = this.#save(position, totals)
      .then(
        () => this.#reportFailure(null),
        (error: unknown) => this.#reportFailure(errorMessage(error)),
      )
      .finally(() => (this.#writing = null));
    return this.#writing;
  }

  /** @param failure reason why the last checkpoint is not on disk, as a sentence; null if it is */
  #reportFailure(failure: string | null): void {
    const { dir, warn } = this.#options;
    const previous = this.#failure;
    this.#failure = failure;
    if (failureKind(failure) === failureKind(previous)) return;
    if (failure === null) warn(`Checkpoints are written to ${dir} again.`);
    else warn(`No new checkpoint: ${failure} The training continues; earlier checkpoints are kept.`);
  }

  /** Encodes the state at once: the trainer changes the vectors while the file is written. */
  async #save(position: Position, totals: EpochTotals): Promise<void> {
    const { dir, job, dataDigest, classWeights, vectors, plateau } = this.#options;
    const engineFingerprint = this.#options.engineFingerprint?.() ?? null;
    const callbacks = this.#options.callbacks?.() ?? null;
    const bytes = encodeCheckpoint({
      position,
      tally: totals,
      job,
      vectors,
      ...(engineFingerprint === null ? {} : { engineFingerprint }),
      ...(dataDigest === undefined ? {} : { dataDigest }),
      ...(classWeights === undefined ? {} : { classWeights }),
      ...(plateau === null || plateau === undefined ? {} : { plateau: plateau.state }),
      ...(callbacks === null ? {} : { callbacks }),
    });
    await saveCheckpoint(dir, position, bytes, this.#options.write);
    this.#hasWritten = true;
  }
}

/** Failure without numbers: the same failure of the next checkpoint names another file. */
const failureKind = (failure: string | null): string | undefined => failure?.replaceAll(/\d+/g, '');
