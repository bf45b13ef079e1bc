// Workers that compute nothing, each with a connection of its own. They speak the protocol through the shared session, so that the
// coordinator treats them like any other worker. Arguments: URL [COUNT = 1]
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { nullEngine } from './null-engine.ts';

const [, , url = '', count = '1'] = process.argv;
const nothing = (): void => undefined;
await Promise.all(
  Array.from({ length: Number(count) }, () =>
    runWorker({
      url,
      name: 'null',
      engine: nullEngine,
      connect: connectWebSocket,
      clock: systemClock(globalThis),
      random: Math.random,
      report: { joined: nothing, computed: nothing, waiting: nothing, note: nothing },
      signal: new AbortController().signal,
    }),
  ),
);
