import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { metricsOf, type Progress } from '../report/reporter.ts';

/**
 * Event of a training step: means over the epoch so far, with the values of the metrics by their names.
 * @example
 * ```ts
 * if (event.type === 'step') console.log(`${event.step}/${event.steps}`, event.loss, event.accuracy);
 * ```
 */
export type StepEvent = Progress & {
  readonly type: 'step';
  readonly accuracy?: number;
  readonly [metric: string]: unknown;
};

/**
 * Event of a finished epoch: the line of history.jsonl, with loss and metrics of the training and, with `val_`, of the test data.
 * @example
 * ```ts
 * if (event.type === 'epoch') console.log(event.epoch, event.val_loss, event.metrics.mae, event.val_mae);
 * ```
 */
export type EpochEvent = EpochRecord & {
  readonly type: 'epoch';
  /** Values of the metrics by name: `mae` of the training, `val_mae` of the test data. */
  readonly metrics: Readonly<Record<string, number>>;
};

/**
 * Event of a run.
 * @example
 * ```ts
 * for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.val_accuracy);
 * ```
 */
export type RunEvent = StepEvent | EpochEvent;

/** Event of a step's report. */
export function stepEvent(progress: Progress): StepEvent {
  const { epoch, step, steps, loss, metrics, samplesPerSecond, workers } = progress;
  return { ...metrics, type: 'step', epoch, step, steps, loss, metrics, samplesPerSecond, workers };
}

/** Event of a finished epoch's record. */
export function epochEvent(record: EpochRecord): EpochEvent {
  const metrics = metricsOf(record);
  delete metrics.loss;
  delete metrics.val_loss;
  return { ...record, type: 'epoch', metrics };
}

type Reader = (result: IteratorResult<RunEvent, undefined>) => void;

/** Events that one iterator has not read yet. A run never waits for it. */
class EventQueue implements AsyncIterableIterator<RunEvent, undefined> {
  readonly #events: RunEvent[];
  readonly #readers: { readonly resolve: Reader; readonly reject: (error: unknown) => void }[] = [];
  readonly #onReturn: (queue: EventQueue) => void;
  #end: { readonly error?: unknown; readonly hasFailed: boolean } | null = null;

  constructor(events: readonly RunEvent[], onReturn: (queue: EventQueue) => void) {
    this.#events = [...events];
    this.#onReturn = onReturn;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** A step takes the place of the step before it, unless that was read; epochs are kept. */
  push(event: RunEvent): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ value: event, done: false });
      return;
    }
    if (event.type === 'step' && this.#events.at(-1)?.type === 'step') this.#events.pop();
    this.#events.push(event);
  }

  /** Ends the events; those that wait are read first. */
  end(end: { readonly error?: unknown; readonly hasFailed: boolean }): void {
    this.#end = end;
    for (const { resolve, reject } of this.#readers.splice(0)) {
      if (end.hasFailed) reject(end.error);
      else resolve({ value: undefined, done: true });
    }
  }

  next(): Promise<IteratorResult<RunEvent, undefined>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    const end = this.#end;
    if (end === null) return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
    // The error is thrown once.
    this.#end = { hasFailed: false };
    if (end.hasFailed) {
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the error of the run, whatever it is
      return Promise.reject(end.error);
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Called when a loop is left early. */
  return(): Promise<IteratorResult<RunEvent, undefined>> {
    this.#onReturn(this);
    this.#events.length = 0;
    this.end({ hasFailed: false });
    return Promise.resolve({ value: undefined, done: true });
  }
}

/**
 * Events of a run for any number of iterators. Each reads all epochs from the first one on, whenever it begins; of the steps that
 * happen while it is busy it reads the last one alone, so that memory is bounded.
 */
export class RunEvents {
  readonly #open = new Set<EventQueue>();
  readonly #epochs: EpochEvent[] = [];
  #end: { readonly error?: unknown; readonly hasFailed: boolean } | null = null;

  /** Whether an iterator reads. */
  get hasReaders(): boolean {
    return this.#open.size > 0;
  }

  emit(event: RunEvent): void {
    if (event.type === 'epoch') this.#epochs.push(event);
    for (const queue of this.#open) queue.push(event);
  }

  /** Ends all iterators. @returns whether one of them has been told the error */
  end(end: { readonly error?: unknown; readonly hasFailed: boolean }): boolean {
    this.#end = end;
    for (const queue of this.#open) queue.end(end);
    return this.#open.size > 0;
  }

  iterate(): AsyncIterableIterator<RunEvent, undefined> {
    const queue = new EventQueue(this.#epochs, (left) => this.#open.delete(left));
    this.#open.add(queue);
    if (this.#end !== null) queue.end(this.#end);
    return queue;
  }
}
