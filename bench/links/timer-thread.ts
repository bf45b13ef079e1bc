// Sleeps until a time in shared memory, then notifies its parent. A new time interrupts the sleep.
import { parentPort, workerData } from 'node:worker_threads';

const { generation, deadline } = workerData as { generation: Int32Array; deadline: Float64Array };

for (;;) {
  const seen = Atomics.load(generation, 0);
  const leftMs = (deadline[0] ?? Infinity) - performance.timeOrigin - performance.now();
  if (leftMs > 0 && Atomics.wait(generation, 0, seen, leftMs) !== 'timed-out') continue;
  parentPort?.postMessage(null);
  Atomics.wait(generation, 0, seen);
}
