import type { TrainingListener } from '../report/reporter.ts';
import { formatCoordinatorLink } from '../../shared/protocol/coordinator-link.ts';
import { epochEvent, RunEvents, stepEvent, type RunEvent } from './events.ts';
import type { TrainedModel } from './trained-model.ts';

/**
 * A run in progress. `await run` gives the trained model; `for await` gives its events while it trains.
 *
 * - A loop that is slow or left early does not slow or stop the run: it reads every epoch, and of the steps that it missed the last.
 *   Any number of loops may read, and each reads all epochs from the first one on.
 * - An error of the run is thrown by `await run` and by every loop.
 * - After `stop()`, or when the signal of the options is aborted, the step in progress is finished, and `await run` gives the
 *   model so far. If there was no step yet it throws the signal's reason, an AbortError.
 * @example
 * ```ts
 * const run: Run = train({ data: 'digits/', epochs: 3 });
 * for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.val_accuracy);
 * const model = await run;
 * ```
 */
export interface Run extends Promise<TrainedModel>, AsyncIterable<RunEvent, undefined> {
  /** Addresses that workers connect to (ws:// or wss://), the nearest first; empty before the port is open. */
  readonly urls: readonly string[];
  /** Link of the page for browsers, without a token; null before the port is open, and in a server of yours. */
  readonly url: string | null;
  /** Finished steps, those of a run that was resumed included. */
  readonly steps: number;
  /** Finishes the step in progress and ends the run. */
  stop(): void;
}

/** Controls of a run for the work that it does. */
export interface RunControls {
  /** Aborted to stop the run. */
  readonly signal: AbortSignal;
  readonly listener: TrainingListener;
  readonly setUrls: (urls: readonly string[]) => void;
  readonly setSteps: (steps: number) => void;
}

/**
 * Starts a run after the caller has had the time to read its events.
 * @param work trains; rejects with the signal's reason if it was stopped before the first step
 */
export function startRun(
  work: (controls: RunControls) => Promise<TrainedModel>,
  signal: AbortSignal | undefined,
): Run {
  const events = new RunEvents();
  const stopper = new AbortController();
  const signals = signal === undefined ? [stopper.signal] : [signal, stopper.signal];
  let urls: readonly string[] = [];
  let steps = 0;
  const listener: TrainingListener = {
    epochStarted: () => undefined,
    stepFinished(report) {
      if (events.hasReaders) events.emit(stepEvent(report));
    },
    epochFinished: (record) => events.emit(epochEvent(record)),
  };
  const result: Promise<TrainedModel> = Promise.resolve()
    .then(() =>
      work({
        signal: AbortSignal.any(signals),
        listener,
        setUrls: (opened) => (urls = opened),
        setSteps: (finished) => (steps = finished),
      }),
    )
    .then(
      (model) => {
        events.end({ hasFailed: false });
        return model;
      },
      (error: unknown) => {
        // A loop throws the error, so a program need not await the run as well.
        if (events.end({ hasFailed: true, error })) result.catch(() => undefined);
        throw error;
      },
    );
  return {
    [Symbol.toStringTag]: 'Run',
    [Symbol.asyncIterator]: () => events.iterate(),
    then: (...handlers) => result.then(...handlers),
    catch: (handler) => result.catch(handler),
    finally: (handler) => result.finally(handler),
    get urls() {
      return urls;
    },
    get url() {
      const [url] = urls;
      return url === undefined ? null : formatCoordinatorLink({ url });
    },
    get steps() {
      return steps;
    },
    stop: () =>
      stopper.abort(new DOMException('The run was stopped before its first step ended.', 'AbortError')),
  };
}
