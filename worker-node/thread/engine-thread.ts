// The thread of the engine: a program of its own, started by threaded-engine.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../../shared/util/error-message.ts';
import { createGarbageCollector } from '../util/collect-garbage.ts';
import { chooseEngine } from '../engine/choose-engine.ts';
import { openCpuEngine } from '../engine/tfjs/tfjs-engines.ts';
import type { FromEngine, ThreadStart, ToEngine } from './messages.ts';
import { serveEngine } from './serve-engine.ts';

const port = parentPort;
if (port === null) throw new Error('This program runs as a thread only.');
const post = (message: FromEngine, handedOver: ArrayBuffer[] = []): void =>
  port.postMessage(message, handedOver);
const { choice } = workerData as ThreadStart;

try {
  const { engine, why } =
    choice === 'cpu'
      ? { engine: await openCpuEngine(), why: 'asked for' }
      : await chooseEngine(choice, (line) => post({ type: 'note', line }));
  const handle = serveEngine(engine, post, createGarbageCollector());
  port.on('message', (message: ToEngine) => handle(message));
  post({ type: 'opened', info: engine.info, why });
} catch (error) {
  post({ type: 'unopened', reason: errorMessage(error) });
}
