import { SHARE_ENV, Worker } from 'node:worker_threads';

/** Starts a thread with the program of an engine. @param file its built program */
export type StartThread = (file: string) => Worker;

/** Starts a thread. TensorFlow reads the real environment, of which a thread has only a copy by default. */
export const startThread: StartThread = (file) => new Worker(file, { env: SHARE_ENV });

/**
 * Starts a thread now, so that it is ready sooner. It keeps no process alive until it is taken.
 * @returns a function that returns this thread when it is called first with the same file, and a new one else
 * @example
 * const start = startThreadAhead(file);
 * const { runWorkers } = await import('./run-workers.ts');
 * await openThreadedEngine({ file, choice: 'wasm', note: console.log, start });
 */
export function startThreadAhead(aheadFile: string): StartThread {
  let ahead: Worker | null = startThread(aheadFile);
  const forget = (): void => void (ahead = null);
  ahead.unref();
  // Its failure is told by the thread that is started in its place.
  ahead.once('error', forget);
  ahead.once('exit', forget);
  return (file) => {
    const thread = file === aheadFile ? ahead : null;
    if (thread === null) return startThread(file);
    ahead = null;
    thread.off('error', forget);
    thread.off('exit', forget);
    thread.ref();
    return thread;
  };
}
