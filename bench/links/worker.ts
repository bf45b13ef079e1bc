// A worker that sleeps instead of computing and answers with gradients of the model's real size. Each message of the parent
// configures and starts one run. The worker speaks the protocol through the shared session.
import { systemClock } from '../../shared/util/clock.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { sleepUntil } from './precise-timer.ts';
import type { LinkWorkerConfig } from './shape.ts';
import { shapedConnect } from './shaped-connect.ts';

const [, , name = 'sleeper'] = process.argv;
const nothing = (): void => undefined;

/** Gradients by length, reused by all runs. */
const gradients = new Map<number, Float32Array>();

const createEngine = ({ perSampleMs, firstBucketAt }: LinkWorkerConfig): Engine => ({
  info: { backend: 'sleep', version: '1', device: 'none', threads: 1 },
  load: (job) => {
    const { length } = layoutOf(job.layout);
    const values =
      gradients.get(length) ?? Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * 1e-2);
    gradients.set(length, values);
    return Promise.resolve({
      givesFactors: true,
      setWeights: nothing,
      async gradient(_step, { sampleNumbers }, gradient, tail, factored = false) {
        const startedMs = performance.now();
        const takesMs = perSampleMs * sampleNumbers.length;
        gradient.set(values);
        if (tail !== undefined && firstBucketAt < 1) {
          await sleepUntil(startedMs + firstBucketAt * takesMs);
          tail.onReady();
        }
        await sleepUntil(startedMs + takesMs);
        return { lossSum: 1, metrics: [0], factored };
      },
      prepare: nothing,
      async evaluate({ sampleNumbers }) {
        await sleepUntil(performance.now() + (perSampleMs * sampleNumbers.length) / 3);
        return { lossSum: 1, metrics: [0] };
      },
      predict: () => Promise.resolve(new Float32Array(0)),
      dispose: nothing,
    });
  },
});

process.on('message', (config: LinkWorkerConfig) => {
  void runWorker({
    url: config.url,
    name,
    engine: createEngine(config),
    connect: shapedConnect(connectWebSocket, config),
    clock: systemClock(globalThis),
    random: Math.random,
    report: { joined: nothing, computed: nothing, waiting: nothing, note: nothing },
    signal: new AbortController().signal,
  }).then(() => process.send?.('done'));
});
process.once('disconnect', () => process.exit(0));
process.send?.('ready');
