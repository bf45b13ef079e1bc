import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';

/** Scheduled callbacks, the earliest first. Callbacks for the same time keep their order. */
const calls: { readonly timeMs: number; readonly callback: () => void }[] = [];
const generation = new Int32Array(new SharedArrayBuffer(4));
const deadline = new Float64Array(new SharedArrayBuffer(8));
const EARLY_MS = 0.02;
let thread: Worker | null = null;

/**
 * Calls back at a time of performance.now(), more precisely than timers and without polling: the processor time of these
 * processes would count in the measured steps.
 */
export function scheduleAt(timeMs: number, callback: () => void): void {
  const before = calls.findLastIndex((call) => call.timeMs <= timeMs);
  calls.splice(before + 1, 0, { timeMs, callback });
  if (before === -1) arm();
}

export const sleepUntil = (timeMs: number): Promise<void> =>
  new Promise((resolve) => scheduleAt(timeMs, resolve));

/** Tells the timer thread when the next callback is due. */
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
