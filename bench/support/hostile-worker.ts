// A worker that lies in one of the ways of hostile-kinds.ts. Arguments: url, name, engine, kind
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { systemClock } from '../../shared/util/clock.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { openThreadedEngine } from '../../worker-node/thread/threaded-engine.ts';
import { hostileEngine } from './hostile-kinds.ts';

const [, , url = '', name = '', choice = 'wasm', kind = 'honest'] = process.argv;
const leaving = new AbortController();
process.once('disconnect', () => leaving.abort());
const threaded = await openThreadedEngine({
  file: './dist/worker-node/thread/engine-thread.js',
  choice: choice as EngineChoice,
  note: () => undefined,
});
const engine =
  kind === 'honest' ? threaded.engine : hostileEngine(threaded.engine, kind, () => leaving.abort());
await runWorker({
  url,
  name,
  engine,
  connect: connectWebSocket,
  clock: systemClock(globalThis),
  random: Math.random,
  report: {
    joined: () => undefined,
    computed: () => undefined,
    waiting: () => undefined,
    note: (line) => process.stderr.write(`  ${name}: ${line}\n`),
  },
  signal: leaving.signal,
}).catch(() => undefined);
await threaded.close();
process.exit(0);
