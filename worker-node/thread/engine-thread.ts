// Program of the engine's thread, started by threaded-engine.ts.
import { parentPort } from 'node:worker_threads';
import { serveEngine } from '../../shared/engine/remote-engine/server.ts';
import { chooseEngine, openCpuEngine } from '../engine/open/choose-engine.ts';
import { createGarbageCollector } from '../util/collect-garbage.ts';
import type { ThreadEngine } from './threaded-engine.ts';

const port = parentPort;
if (port === null) throw new Error('This program runs as a thread only.');

const serve = serveEngine({
  post: (message, transfer) => port.postMessage(message, transfer),
  open: async (choice: ThreadEngine, note) =>
    choice === 'cpu' ? { engine: await openCpuEngine(), why: 'asked for' } : await chooseEngine(choice, note),
  collectGarbage: createGarbageCollector(),
});
port.on('message', serve);
