// Program of the engine's thread, started by threaded-engine.ts.
import { parentPort } from 'node:worker_threads';
import { serveEngine } from '../../shared/engine/remote-engine/server.ts';
import { openCpuEngine, openWasmEngine } from '../engine/open/open-wasm.ts';
import { createGarbageCollector } from '../util/collect-garbage.ts';
import type { ToEngine } from '../../shared/engine/remote-engine/messages.ts';
import { END_THREAD, type ThreadEngine } from './threaded-engine.ts';

const port = parentPort;
if (port === null) throw new Error('This program runs as a thread only.');

let release: () => void = () => undefined;
let isEnding = false;

const serve = serveEngine({
  post: (message, transfer) => port.postMessage(message, transfer),
  open: async (choice: ThreadEngine, note) => {
    if (choice === 'cpu') return { engine: await openCpuEngine(), why: 'asked for' };
    if (choice === 'wasm') return { engine: await openWasmEngine(), why: 'asked for' };
    // WebAssembly opens earlier without the code of the other engines.
    const { chooseEngine } = await import('../engine/open/choose-engine.ts');
    const chosen = await chooseEngine(choice, note);
    release = chosen.release ?? release;
    if (isEnding) release();
    return chosen;
  },
  collectGarbage: createGarbageCollector(),
});
port.on('message', (message: ToEngine | typeof END_THREAD) => {
  if (message !== END_THREAD) {
    serve(message);
    return;
  }
  isEnding = true;
  release();
  // The thread ends once Dawn has answered all that is on its way.
  port.close();
});
