import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';

/** What has to be called back, the earliest first; calls for one time in the order in which they were asked for. */
const calls: { readonly timeMs: number; readonly callback: () => void }[] = [];
const [generation, deadline] = [
  new Int32Array(new SharedArrayBuffer(4)),
  new Float64Array(new SharedArrayBuffer(8)),
];
const EARLY_MS = 0.02;
let thread: Worker | null = null;

/**
 * Calls back at a time of performance.now(), more exactly than timers do, and without a turn of the event loop while it
 * waits: what these processes compute counts in what is measured.
 */
export function scheduleAt(timeMs: number, callback: () => void): void {
  const before = calls.findLastIndex((call) => call.timeMs <= timeMs);
  calls.splice(before + 1, 0, { timeMs, callback });
  if (before === -1) arm();
}

export const sleepUntil = (timeMs: number): Promise<void> =>
  new Promise((resolve) => scheduleAt(timeMs, resolve));

/** Has the thread wake this one when the next call is due. */
function arm(): void {
  if (thread === null) {
    thread = new Worker(join(dirname(process.argv[1] ?? ''), 'timer-thread.js'), {
      workerData: { generation, deadline },
    });
    thread.on('message', run);
    thread.unref();
  }
  deadline[0] = performance.timeOrigin + (calls[0]?.timeMs ?? Infinity);
  Atomics.add(generation, 0, 1);
  Atomics.notify(generation, 0);
}

function run(): void {
  while (calls[0] !== undefined && calls[0].timeMs <= performance.now() + EARLY_MS) calls.shift()?.callback();
  arm();
}
