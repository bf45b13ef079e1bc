import type { CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Optimizer } from '../optimizer/optimizer.ts';
import { metricsOf, type Reporter } from '../report/reporter.ts';
import type { CallbackStates } from '../run/checkpoint.ts';
import type { ResumePoint } from '../training/progress.ts';
import { stepsPerEpoch } from '../training/sampler.ts';
import type { Callback, CallbackContext, CallbackState, Logs } from './callback.ts';
import type { TrainedBy } from '../run/model-folder.ts';
import { callbackModel, type FinalModel } from './callback-model.ts';

export interface CallbackListOptions {
  readonly callbacks: readonly Callback[];
  readonly job: Job;
  /** Names of the layout's tensors. */
  readonly weightNames: readonly string[];
  readonly optimizer: Optimizer;
  /** Part of the metadata of models that callbacks save. */
  readonly trainedBy: TrainedBy;
  /** Custom code of the job, part of models that callbacks save. @default none */
  readonly customCode?: CodeBundle | undefined;
  /** Folder of the run; null if it has none. */
  readonly runDir: string | null;
  readonly resumeFrom?: ResumePoint | undefined;
  readonly report: Pick<Reporter, 'info' | 'warn'>;
}

/** Methods that a run calls while it trains. */
type Event = 'onTrainBegin' | 'onEpochBegin' | 'onStepEnd' | 'onEpochEnd' | 'onTrainEnd';
type MutableContext = { -readonly [Key in keyof CallbackContext]: CallbackContext[Key] };

/**
 * The callbacks of a run, called in their order, one at a time.
 * @example
 * const list = new CallbackList({ callbacks: [earlyStopping()], job, weightNames, optimizer, ... });
 * await trainWithCallbacks(trainingOptions, list);
 */
export class CallbackList {
  readonly #named: readonly { readonly name: string; readonly callback: Callback }[];
  readonly #optimizer: Optimizer;
  readonly #report: Pick<Reporter, 'info' | 'warn'>;
  readonly #context: MutableContext;
  readonly #stop = new AbortController();
  /** Whether the logs of epochs have the learning rate. */
  #showsRate: boolean;
  /** Learning rate that callbacks have set; null if they have not. */
  #setRate: number | null = null;
  #final: FinalModel | null = null;

  constructor(options: CallbackListOptions) {
    const { callbacks, job, optimizer, report, resumeFrom } = options;
    this.#named = withNames(callbacks);
    this.#optimizer = optimizer;
    this.#report = report;
    this.#showsRate = job.optimizer.schedule !== undefined;
    const { epoch = 1, steps = 0 } = resumeFrom?.position ?? {};
    this.#context = {
      epoch,
      epochs: job.epochs,
      step: steps,
      stepsPerEpoch: stepsPerEpoch(job.data.trainSamples, job.batchSize),
      logs: {},
      learningRate: optimizer.learningRateAt(steps),
      model: callbackModel({
        ...options,
        position: () => this.#context,
        onReplaced: (final) => (this.#final = final),
      }),
      runDir: options.runDir,
      isResumed: resumeFrom !== undefined,
      stopReason: null,
      stop: (reason) => this.#stopRun(reason),
      setLearningRate: (rate) => this.#changeRate(rate),
      info: (line) => report.info(line),
      warn: (line) => report.warn(line),
    };
  }

  get isEmpty(): boolean {
    return this.#named.length === 0;
  }

  /** Aborted when a callback has stopped the run. */
  get stopSignal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Reason why the run stopped before its last epoch; null if it did not. */
  get stopReason(): string | null {
    return this.#context.stopReason;
  }

  /** Whether a callback has ended the run in an earlier process. */
  get hasEnded(): boolean {
    return this.#named.some(({ callback }) => callback.hasEnded?.() === true);
  }

  /** Weights that take the place of the trained ones in the run's model; null if there are none. */
  get finalModel(): FinalModel | null {
    return this.#final;
  }

  /** State for a checkpoint; null if there is none. */
  state(): CallbackStates | null {
    const states: Record<string, CallbackState> = {};
    for (const { name, callback } of this.#named) {
      const state = callback.state?.();
      if (state !== undefined) states[name] = state;
    }
    if (this.#setRate === null && Object.keys(states).length === 0) return null;
    return { learningRate: this.#setRate, states };
  }

  /** Continues from the state of a checkpoint. @throws Error that names a callback that cannot use its state */
  restore({ learningRate, states }: CallbackStates): void {
    if (learningRate !== null) this.#changeRate(learningRate);
    for (const { name, callback } of this.#named) {
      const state = states[name];
      if (state === undefined || callback.restore === undefined) continue;
      attempt(name, () => callback.restore?.(state));
    }
    const names = this.#named.map(({ name }) => name);
    const missing = Object.keys(states).filter((name) => !names.includes(name));
    if (missing.length > 0) {
      this.#report.warn(
        `The run was started with ${missing.join(', ')}, and is resumed without. Repeat the options to continue with them.`,
      );
    }
  }

  /** Calls onTrainBegin. @throws Error that names the callback, as all of these methods */
  begin(): Promise<void> {
    return this.#call('onTrainBegin');
  }

  beginEpoch(epoch: number): Promise<void> {
    this.#update({ epoch, logs: {} });
    return this.#call('onEpochBegin');
  }

  /** @param step finished steps of the run @param logs means over the epoch so far */
  endStep(epoch: number, step: number, logs: Logs): Promise<void> {
    this.#update({ epoch, step, logs });
    return this.#call('onStepEnd');
  }

  /** @param step finished steps of the run */
  endEpoch(record: EpochRecord, step: number): Promise<void> {
    // The learning rate is that after the last step, before a plateau schedule has changed it.
    const rate = this.#showsRate ? { learning_rate: this.#context.learningRate } : {};
    this.#update({ epoch: record.epoch, step, logs: { ...metricsOf(record), ...rate } });
    return this.#call('onEpochEnd');
  }

  /** @param wasStopped whether the run was stopped by a signal */
  end(wasStopped: boolean): Promise<void> {
    if (wasStopped) this.#context.stopReason ??= 'the run was interrupted';
    return this.#call('onTrainEnd');
  }

  /** Calls onError of all callbacks. Errors from them become warnings, since they are not why the run ended. */
  async fail(error: unknown): Promise<void> {
    const cause = error instanceof Error ? error : new Error(errorMessage(error));
    for (const { name, callback } of this.#named) {
      try {
        await callback.onError?.(cause, { ...this.#context });
      } catch (second) {
        this.#report.warn(`The callback ${name} failed after the error: ${errorMessage(second)}`);
      }
    }
  }

  async #call(event: Event): Promise<void> {
    for (const { name, callback } of this.#named) {
      try {
        if (callback[event] !== undefined) await callback[event]({ ...this.#context });
      } catch (error) {
        throw callbackError(name, error);
      }
    }
  }

  #update(changes: Pick<MutableContext, 'epoch' | 'logs'> & { readonly step?: number }): void {
    Object.assign(this.#context, changes);
    this.#context.learningRate = this.#optimizer.learningRateAt(this.#context.step);
  }

  #stopRun(reason: string): void {
    this.#context.stopReason ??= reason;
    this.#stop.abort();
  }

  #changeRate(learningRate: number): void {
    this.#optimizer.setLearningRate(learningRate);
    this.#setRate = learningRate;
    this.#showsRate = true;
    this.#context.learningRate = this.#optimizer.learningRateAt(this.#context.step);
  }
}

/** Callbacks with different names: a second one of a name gets a number. */
function withNames(callbacks: readonly Callback[]): { name: string; callback: Callback }[] {
  const counts = new Map<string, number>();
  return callbacks.map((callback, i) => {
    const name = callback.name ?? `callback ${i + 1}`;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return { name: count === 1 ? name : `${name} ${count}`, callback };
  });
}

const callbackError = (name: string, error: unknown): Error =>
  new Error(`The callback ${name} failed: ${errorMessage(error)}`, { cause: error });

function attempt(name: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw callbackError(name, error);
  }
}
