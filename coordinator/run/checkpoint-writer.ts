import type { Clock } from '../../shared/util/clock.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
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

/** How often, besides after each epoch. */
export type CheckpointInterval = { readonly steps: number } | { readonly ms: number };
export const DEFAULT_CHECKPOINT_INTERVAL: CheckpointInterval = { ms: 300_000 };

export interface CheckpointWriterOptions {
  readonly dir: string;
  readonly every: CheckpointInterval;
  readonly job: Job;
  /** See digestOf. */
  readonly dataDigest?: string | undefined;
  /** Weights and the optimizer's, as they are at each moment. */
  readonly vectors: Checkpoint['vectors'];
  /** Of an exact run, once somebody has answered; null otherwise. */
  readonly engineFingerprint?: () => string | null;
  readonly clock: Clock;
  /** See WriteOptions. */
  readonly write?: WriteOptions;
  /** Hears once that none can be written, and that it works again; the run goes on meanwhile. */
  readonly warn: (line: string) => void;
}

/** After a step, an epoch, the last step of a run that is stopped, or a return to an earlier step. */
export type CheckpointReason = 'step' | 'epoch' | 'stop' | 'rewound';

/** Writes checkpoints when they are due, in the background: the next step does not wait for the disk. */
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

  /** Called before the first step: a run that is killed in it can be gone on with all the same. */
  writeInitial(): Promise<void> {
    const nothing = { samples: 0, lossSum: 0, correct: 0, seconds: 0 };
    return this.#write({ epoch: 1, step: 0, steps: 0 }, nothing);
  }

  /** Whether there is one of this run. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /**
   * Called between two steps. Settles at once, or, after an epoch, at the end and when the run has gone back to an earlier
   * step, when the checkpoint is on disk.
   */
  async record(when: CheckpointReason, position: Position, tally: EpochTotals): Promise<void> {
    if (when === 'step') {
      // A disk that is slower than this is left in peace; the next step is due again.
      if (this.#isDue(position) && this.#writing === null) void this.#write(position, tally);
      return;
    }
    await this.#writing;
    const { dir } = this.#options;
    if (when !== 'rewound') return this.#write(position, tally);
    // What was wrong is in those of later steps. The good one first.
    if (!(await hasLaterCheckpoint(dir, position.steps))) return;
    await this.#write(position, tally);
    if (this.#failure !== null) return;
    await removeLaterCheckpoints(dir, position.steps).catch((error: unknown) => {
      this.#options.warn(
        `Checkpoints after step ${position.steps} cannot be removed from ${dir}: ${describeDiskError(error)}. ` +
          'Until they can be, --resume starts from weights that the run has gone back from.',
      );
    });
  }

  #isDue({ steps }: Position): boolean {
    const { every, clock } = this.#options;
    return 'steps' in every ? steps % every.steps === 0 : clock.now() - this.#lastMs >= every.ms;
  }

  #write(position: Position, tally: EpochTotals): Promise<void> {
    this.#lastMs = this.#options.clock.now();
    this.#writing = this.#save(position, tally)
      .then(
        () => this.#reportFailure(null),
        (error: unknown) => this.#reportFailure(errorMessage(error)),
      )
      .finally(() => (this.#writing = null));
    return this.#writing;
  }

  /** @param failure why the last checkpoint is not on disk, as a sentence */
  #reportFailure(failure: string | null): void {
    const { dir, warn } = this.#options;
    const before = this.#failure;
    this.#failure = failure;
    if (failureKind(failure) === failureKind(before)) return;
    if (failure === null) warn(`Checkpoints are written to ${dir} again.`);
    else warn(`No new checkpoint: ${failure} The training continues; earlier checkpoints are kept.`);
  }

  /** What is saved is what was there at the call. */
  async #save(position: Position, tally: EpochTotals): Promise<void> {
    const { dir, job, dataDigest, vectors } = this.#options;
    const knownAnswer = this.#options.engineFingerprint?.() ?? null;
    const bytes = encodeCheckpoint({
      position,
      tally,
      job,
      vectors,
      ...(knownAnswer === null ? {} : { knownAnswer }),
      ...(dataDigest === undefined ? {} : { dataDigest }),
    });
    await saveCheckpoint(dir, position, bytes, this.#options.write);
    this.#hasWritten = true;
  }
}

/** The same trouble for the next checkpoint has another number in the file's name. */
const failureKind = (failure: string | null): string | undefined => failure?.replaceAll(/\d+/g, '');
