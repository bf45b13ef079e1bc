import { FLOAT32_LINK } from '../../coordinator/links/codecs.ts';
import { Feed } from '../../coordinator/observe/feed.ts';
import { createWorker, type Worker } from '../../coordinator/pool/worker.ts';
import type { ConnectionHandler } from '../../coordinator/server/websocket.ts';
import type { Job } from '../../shared/model/job.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { exampleHello, exampleJob, step } from '../shared/protocol/examples.ts';
import { startTestServer } from './test-server.ts';

const STEPS = 120;
const job: Job = {
  ...exampleJob,
  batchSize: 500,
  epochs: 12,
  data: { name: 'mnist', trainSamples: 500 * STEPS, testSamples: 10_000 },
};

/** Number in [0, 1) that seems random and depends on the two numbers alone. */
const noise = (a: number, b: number): number =>
  Math.abs(Math.sin(a * 12.9898 + b * 78.233) * 43_758.5453) % 1;

const ENGINES = [
  { backend: 'wasm', device: 'AMD EPYC 7763 64-Core Processor, 8 cores' },
  { backend: 'tensorflow', device: 'NVIDIA H100 80GB HBM3' },
  { backend: 'webgpu', device: 'Apple M3 Pro' },
];

/** A run that observers can watch, with workers that have no connection. */
export interface ObservedRun {
  readonly address: string;
  readonly workers: Map<WorkerId, Worker>;
  /** Adds a worker of a machine, the eight of node0 first. */
  addWorker(): Worker;
  /** Ends a step, after which all workers have other figures. */
  finishStep(): void;
  close(): Promise<void>;
}

/** Starts the server and the feed of a run, and the given number of workers, eight on each machine. */
export async function serveObservedRun(count: number): Promise<ObservedRun> {
  const workers = new Map<WorkerId, Worker>();
  const clock = systemClock(globalThis);
  const feed = new Feed({ job, clock, pool: { workers } });
  const server = await startTestServer({
    clock,
    connect(connection, accept) {
      let handler: ConnectionHandler | null = null;
      return {
        onFrame() {
          // The first message is the observer's `watch`.
          handler ??= feed.watch(connection);
          accept(handler);
        },
        onClose: () => undefined,
      };
    },
  });
  let added = 0;
  const addWorker = (): Worker => {
    const i = added++;
    const machine = `node${i >> 3}`;
    const engine = ENGINES[(i >> 3) % 7 === 6 ? 1 : (i >> 3) % 11 === 5 ? 2 : 0];
    const worker = createWorker(
      { ...exampleHello, machine, engine: { ...exampleHello.engine, ...engine } },
      { send: () => undefined, close: () => undefined, terminate: () => undefined, bufferedBytes: 0 },
      {
        name: `${machine}-${(i & 7) + 1}`,
        nowMs: clock.now(),
        codecs: FLOAT32_LINK,
        switchableCodecs: [],
        bucketOffsets: [0],
        onSent: () => undefined,
      },
    );
    worker.isStandby = i % 97 === 96;
    workers.set(worker.id, worker);
    return worker;
  };
  for (let i = 0; i < count; i++) addWorker();
  let steps = 0;
  const finishStep = (): void => {
    const index = steps++;
    if (index % STEPS === 0) feed.epochStarted(1 + index / STEPS);
    let i = 0;
    let total = 0;
    for (const { stats, link, isStandby } of workers.values()) {
      i++;
      stats.rttMs = 1 + 20 * noise(i, 2);
      if (isStandby) continue;
      const samples = 1 + Math.floor(40 * noise(i, 1));
      total += samples;
      stats.record('train', samples);
      stats.bytesUp += 400_000 + 1000 * i;
      stats.bytesDown += 420_000;
      const computeMs = 40 + 60 * noise(i, 3) + 8 * noise(i, index);
      link.meter.recordAnswer({ samples, computeMs, turnaroundMs: computeMs + 30 * noise(i, 4) });
    }
    const loss = 2 / Math.sqrt(index + 1);
    const accuracy = 1 - loss * 0.4;
    feed.stepFinished({
      epoch: 1 + Math.floor(index / STEPS),
      step: (index % STEPS) + 1,
      steps: STEPS,
      loss,
      metrics: { accuracy },
      samplesPerSecond: 20 * workers.size,
      workers: workers.size,
      batch: { samples: total, lossSum: total * loss, metrics: [total * accuracy] },
      dataWaitMs: 0,
      weights: { step: step(index + 1), source: { averagedWeights: new Float32Array(6) } },
    });
  };
  return {
    address: `http://127.0.0.1:${server.port}`,
    workers,
    addWorker,
    finishStep,
    async close() {
      feed.close('The test is over.');
      await server.close();
    },
  };
}
