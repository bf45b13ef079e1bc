import type { Job } from '../../shared/model/job.ts';
import type { NamedWeights } from '../model-file/weights-file.ts';
import type { ScheduleOptions } from '../optimizer/common-options.ts';

/**
 * Loss and metrics by name. After a step they are means over the epoch so far; after an epoch they contain those of the test data
 * (`val_loss`), and `learning_rate` if it changes during the run.
 * @example
 * const { loss, val_loss } = context.logs;
 */
export type Logs = Readonly<Record<string, number>>;

/**
 * The model that is trained, as callbacks see it.
 * @example
 * const kernel = context.model.tensors().get('dense/kernel');
 */
export interface CallbackModel {
  readonly job: Job;
  /** Name of each tensor of the job's layout. */
  readonly names: readonly string[];
  /** Copy of all weights in one vector; with a moving average of the weights, that average. */
  weights(): Float32Array;
  /** Copy of the weights by the names of their tensors. */
  tensors(): NamedWeights;
  /**
   * Replaces the weights of the model that the run saves at its end; the weights that are trained stay as they are.
   * @param from epoch of the weights (default: the last one), and their loss and metrics on the test data (default: they are measured)
   */
  replace(weights: Float32Array, from?: { readonly epoch?: number; readonly scores?: Logs }): void;
  /** Writes the model with its current weights: as a Keras file if the path ends in .keras, else as a folder. */
  save(path: string): Promise<void>;
}

/**
 * State of the run that a callback is called with.
 * @example
 * const stopWhenGood: Callback = {
 *   onEpochEnd: ({ logs, stop }) => {
 *     if ((logs.val_accuracy ?? 0) > 0.99) stop('an accuracy of 99% is enough');
 *   },
 * };
 */
export interface CallbackContext {
  /** Epoch, from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Finished steps of the run. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly logs: Logs;
  /** Learning rate of the next step. */
  readonly learningRate: number;
  readonly model: CallbackModel;
  /** Folder of the run; null if it has none. */
  readonly runDir: string | null;
  /** Whether an earlier process began the run. */
  readonly isResumed: boolean;
  /** Reason why the run stopped before its last epoch, such as the one that was passed to stop(); null if it did not. */
  readonly stopReason: string | null;
  /** Ends the run after this step or epoch. Its model is saved as that of a finished run. @param reason part of a sentence */
  readonly stop: (reason: string) => void;
  /** Sets the learning rate from the next step on. @throws Error if the optimizer has a schedule */
  readonly setLearningRate: (learningRate: number) => void;
  readonly info: (line: string) => void;
  readonly warn: (line: string) => void;
}

/** Result of a callback's method; the run waits for promises before its next step. */
type Awaitable = void | Promise<void>;

/**
 * Functions that a run calls as it goes on, after those of Keras. An error from one of them ends the run, with a checkpoint.
 * @example
 * const log: Callback = {
 *   name: 'log',
 *   onStepEnd: ({ step, logs }) => console.log(step, logs.loss),
 *   async onEpochEnd({ epoch, logs }) {
 *     await writeFile(`epoch-${epoch}.json`, JSON.stringify(logs));
 *   },
 * };
 */
export interface Callback {
  /** Name for errors and checkpoints. @default callback 1, 2, ... */
  readonly name?: string;
  /** Loss or metric in the logs of epochs that it follows: a run that does not compute it is refused before it begins. */
  readonly monitor?: string;
  /** Schedule that the optimizer gets from this callback. */
  readonly schedule?: ScheduleOptions;
  /** Called before the first step of this process. */
  onTrainBegin?(context: CallbackContext): Awaitable;
  /** Called before the first step of an epoch, not when a run is resumed within it. */
  onEpochBegin?(context: CallbackContext): Awaitable;
  /** Called after each step, Keras' onBatchEnd. A step that is repeated without a banned worker's answers is reported again. */
  onStepEnd?(context: CallbackContext): Awaitable;
  /** Called after each epoch and its evaluation. */
  onEpochEnd?(context: CallbackContext): Awaitable;
  /** Called after the last step, also if the run was stopped. */
  onTrainEnd?(context: CallbackContext): Awaitable;
  /** Called in place of onTrainEnd when an error ends the run. */
  onError?(error: Error, context: CallbackContext): Awaitable;
  /** State for checkpoints: values that JSON has, and vectors as Float32Array. */
  state?(): CallbackState;
  /** Continues from the state of a checkpoint. Called before onTrainBegin. */
  restore?(state: CallbackState): void;
  /**
   * Whether this callback has ended the run in an earlier process, by the state that was restored. No worker is waited for before
   * onTrainBegin, which must call `stop()` then: otherwise the run goes on.
   */
  hasEnded?(): boolean;
}

/**
 * State of a callback between two steps.
 * @example
 * const state: CallbackState = { wait: 2, best: 0.31, bestWeights };
 */
export type CallbackState = Readonly<Record<string, unknown>>;
