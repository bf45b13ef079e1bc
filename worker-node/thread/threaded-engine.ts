import { setTimeout as setTimeoutAsync } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { openRemoteEngine, type RemoteEngine } from '../../shared/engine/remote-engine/client.ts';
import type { FromEngine, Port } from '../../shared/engine/remote-engine/messages.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { removeOwnGraphFolders } from '../engine/native/graph-folders.ts';
import { startThread, type StartThread } from './start-thread.ts';

/**
 * Engine of a thread: one of the user's choices, the best one that uses no WebGPU, or plain JavaScript, which is fast enough for checks
 * only.
 */
export type ThreadEngine = EngineChoice | 'no-webgpu' | 'cpu';

/** Message that asks a thread to end by itself. */
export const END_THREAD = 'end';

export interface ThreadOptions {
  /** Built program of the thread. */
  readonly file: string;
  readonly choice: ThreadEngine;
  /** Receives the lines that the engine logs. */
  readonly note: (line: string) => void;
  /** @default starts a thread */
  readonly start?: StartThread | undefined;
  /** Called if the thread does not end in time: it is stuck in native code and keeps the process alive. Not with WebGPU. */
  readonly onStuck?: () => void;
  /** Time for the thread to end. */
  readonly stopTimeoutMs?: number;
}

/** Shorter than the time after which a process that was asked to leave is killed. */
const STOP_TIMEOUT_MS = 2_000;

/** Engine that computes in a thread of its own, so that this one always has time for the socket. */
export interface ThreadedEngine {
  readonly engine: Engine;
  /** Why no better engine was taken. */
  readonly why: string;
  /** Aborted with an EngineLostError as reason if the thread ends without having been closed. */
  readonly lost: AbortSignal;
  /** Collects garbage in the thread, at a time when no answer is awaited. */
  collectGarbage(): void;
  /** Ends the thread; a computation in progress is lost. A thread that waits for its GPU may end later, and keeps no process alive. */
  readonly close: () => Promise<void>;
}

/** Engine of one thread. */
export interface EngineThread extends ThreadedEngine {
  readonly engine: RemoteEngine;
}

/** Called when this process exits. The process has one listener, however many threads there are. */
const exitCallbacks = new Set<() => void>();
const callAtExit = (): void => exitCallbacks.forEach((callback) => callback());

/**
 * Starts the thread and opens the engine in it.
 * @throws Error with a sentence if the engine cannot be opened; EngineLostError if the thread ends meanwhile
 */
export async function openThreadedEngine(options: ThreadOptions): Promise<EngineThread> {
  const { file, choice, note, start = startThread, onStuck, stopTimeoutMs = STOP_TIMEOUT_MS } = options;
  const thread = start(file);
  let hasEnded = false;
  /** Dawn aborts the process if its thread is terminated while an answer of the GPU is awaited. `auto` may open it. */
  let mayUseDawn = choice === 'webgpu' || choice === 'auto';
  // A process that exits at once does not close the engine.
  const onExit = (): void => {
    removeOwnGraphFolders();
    // The exit terminates all threads, and waits for what Dawn compiles.
    if (mayUseDawn && !hasEnded) endAtOnce();
  };
  if (exitCallbacks.size === 0) process.once('exit', callAtExit);
  exitCallbacks.add(onExit);
  const ended = new Promise<void>((resolve) => {
    thread.once('exit', () => {
      hasEnded = true;
      exitCallbacks.delete(onExit);
      if (exitCallbacks.size === 0) process.off('exit', callAtExit);
      resolve();
    });
  });
  let ending: Promise<unknown> | null = null;
  /** Ends the thread. One that may use Dawn ends by itself; if it does not in time, it is left alone. */
  const end = (): Promise<unknown> => (ending ??= mayUseDawn ? endByItself() : thread.terminate());
  const endByItself = async (): Promise<void> => {
    thread.postMessage(END_THREAD);
    const limit = new AbortController();
    await Promise.race([ended, setTimeoutAsync(stopTimeoutMs, undefined, { signal: limit.signal })]);
    limit.abort();
    thread.unref();
  };
  const terminate = async (): Promise<void> => {
    const stuck = mayUseDawn || onStuck === undefined ? undefined : setTimeout(onStuck, stopTimeoutMs);
    await end();
    clearTimeout(stuck);
    if (hasEnded) removeOwnGraphFolders();
  };
  try {
    const engine = await openRemoteEngine({
      port: portOf(thread, () => void end()),
      choice,
      allocateShared: (bytes) => new SharedArrayBuffer(bytes),
      note,
    });
    mayUseDawn = engine.info.backend === 'webgpu';
    const loss = new AbortController();
    void engine.lost.then((error) => loss.abort(error));
    return {
      engine,
      why: engine.why,
      lost: loss.signal,
      collectGarbage: () => engine.collectGarbage(),
      close: () => {
        engine.close();
        return terminate();
      },
    };
  } catch (error) {
    await terminate();
    throw error;
  }
}

/** Ends this process as Ctrl-C does where nothing listens for it: at once, with 130 as its code in a shell. */
function endAtOnce(): void {
  process.removeAllListeners('SIGINT');
  process.kill(process.pid, 'SIGINT');
}

function portOf(thread: Worker, end: () => void): Port {
  return {
    post: (message, transfer) => thread.postMessage(message, transfer),
    listen(onMessage, onDeath) {
      thread.on('message', (message: FromEngine) => onMessage(message));
      thread.on('error', (error) => onDeath(errorMessage(error)));
      thread.on('messageerror', (error) => onDeath(errorMessage(error)));
      thread.on('exit', (code) => onDeath(`its thread has ended with code ${code}`));
    },
    end,
  };
}
