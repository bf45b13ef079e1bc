import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { Engine } from '../../shared/engine/engine.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { removeOwnGraphFolders } from '../engine/native/graph-folders.ts';
import { PendingCalls } from './pending-calls.ts';
import type { FromEngine, ThreadEngine, ThreadStart, ToEngine, JobId } from './messages.ts';
import { createThreadedGradientComputer, type ThreadLink } from './threaded-gradient-computer.ts';

export interface ThreadOptions {
  /** The thread's program, as built. */
  readonly file: string;
  readonly choice: ThreadEngine;
  /** Hears what the engine has to say while it computes. */
  readonly note: (line: string) => void;
  /** Called where a thread does not end that was told to: it is stuck in native code, and holds the process up. */
  readonly onStuck?: () => void;
  /** How long ending may take. */
  readonly stopTimeoutMs?: number;
}

/** Less than anybody waits who asked this process to leave. */
const STOP_TIMEOUT_MS = 2_000;

/** An engine that computes in a thread of its own, so that this one always has time for the socket. */
export interface ThreadedEngine {
  readonly engine: Engine;
  /** Why no better engine was taken. */
  readonly why: string;
  /** Aborted, with an EngineDiedError as its reason, when the thread has ended without being asked to. */
  readonly died: AbortSignal;
  /** Nobody waits for the engine just now. */
  collectGarbage(): void;
  /** Ends the thread; a computation that it is in is lost. */
  readonly close: () => Promise<void>;
}

/** The thread of the engine has ended without being asked to: a crash, or no memory. */
export class EngineDiedError extends Error {
  constructor(reason: string) {
    super(`The engine has died: ${reason}`);
    this.name = 'EngineDiedError';
  }
}

/**
 * Starts the thread and opens the engine in it.
 * @throws Error with a sentence if the engine cannot be opened; EngineDiedError if the thread dies meanwhile
 */
export async function openThreadedEngine(options: ThreadOptions): Promise<ThreadedEngine> {
  const { file, choice, note, onStuck, stopTimeoutMs = STOP_TIMEOUT_MS } = options;
  // TensorFlow reads the real environment, and a thread's own copy would not be that.
  const thread = new Worker(file, { workerData: { choice } satisfies ThreadStart, env: SHARE_ENV });
  // A process that ends at once does not come to close the engine.
  process.once('exit', removeOwnGraphFolders);
  const calls = new PendingCalls();
  const death = new AbortController();
  const die = (reason: string): void => {
    if (death.signal.aborted) return;
    const error = new EngineDiedError(reason);
    death.abort(error);
    calls.rejectAll(error);
  };
  thread.on('error', (error) => die(errorMessage(error)));
  thread.on('messageerror', (error) => die(errorMessage(error)));
  const onExit = (code: number): void => die(`its thread has ended with code ${code}`);
  thread.on('exit', onExit);
  const close = async (): Promise<void> => {
    thread.off('exit', onExit);
    const stuck = onStuck && setTimeout(onStuck, stopTimeoutMs);
    await thread.terminate();
    clearTimeout(stuck);
    process.off('exit', removeOwnGraphFolders);
    removeOwnGraphFolders();
    calls.rejectAll(new Error('The engine is closed.'));
  };

  const opened = await new Promise<Extract<FromEngine, { type: 'opened' | 'unopened' }>>(
    (resolve, reject) => {
      thread.on('message', (message: FromEngine) => {
        switch (message.type) {
          case 'opened':
          case 'unopened':
            resolve(message);
            return;
          case 'loaded':
            calls.resolve(message.call, message.givesFactors);
            return;
          case 'tail':
            calls.tail(message.call);
            return;
          case 'computed':
            calls.resolve(message.call, message.result);
            return;
          case 'predicted':
            calls.resolve(message.call, message.probabilities);
            return;
          case 'failed':
            calls.fail(message.call, new Error(message.reason));
            return;
          case 'note':
            note(message.line);
            return;
        }
      });
      death.signal.addEventListener('abort', () => reject(death.signal.reason as EngineDiedError));
    },
  );
  if (opened.type === 'unopened') {
    await close();
    throw new Error(opened.reason);
  }

  const link: ThreadLink = {
    calls,
    post: (message: ToEngine, handedOver: ArrayBuffer[] = []) => thread.postMessage(message, handedOver),
  };
  let trainers = 0;
  const engine: Engine = {
    info: opened.info,
    async load(job) {
      const trainer = trainers++ as JobId;
      const supportsFactors = await calls.request<boolean>((call) =>
        link.post({ type: 'load', call, trainer, job }),
      );
      return { ...createThreadedGradientComputer(trainer, link), supportsFactors };
    },
  };
  return {
    engine,
    why: opened.why,
    died: death.signal,
    collectGarbage: () => link.post({ type: 'collectGarbage' }),
    close,
  };
}
