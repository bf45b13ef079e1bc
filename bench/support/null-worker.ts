// A worker that computes nothing and answers every shard with the same prepared gradient. It speaks the protocol through the
// shared session, so that the coordinator treats it like any other worker. Argument: url
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import type { Engine } from '../../shared/engine/engine.ts';

const [, , url = ''] = process.argv;
const engine: Engine = {
  info: { backend: 'null', version: '1', device: 'none', threads: 1 },
  load: () =>
    Promise.resolve({
      setWeights: () => undefined,
      gradient(_step, _shard, gradient) {
        if (gradient[0] !== 1e-3) gradient.fill(1e-3);
        return Promise.resolve({ lossSum: 1, metrics: [0] });
      },
      prepare: () => undefined,
      evaluate: () => Promise.resolve({ lossSum: 1, metrics: [0] }),
      predict: () => Promise.resolve(new Float32Array(0)),
      dispose: () => undefined,
    }),
};
const nothing = (): void => undefined;
await runWorker({
  url,
  name: 'null',
  engine,
  connect: connectWebSocket,
  clock: systemClock(globalThis),
  random: Math.random,
  report: { joined: nothing, computed: nothing, waiting: nothing, note: nothing },
  signal: new AbortController().signal,
});
