import { MessageChannel } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import type { Engine } from '../../shared/engine/engine.ts';
import { openRemoteEngine, type RemoteEngine } from '../../shared/engine/remote-engine/client.ts';
import type { FromEngine, ToEngine } from '../../shared/engine/remote-engine/messages.ts';
import { serveEngine, type ServedEngine } from '../../shared/engine/remote-engine/server.ts';
import type { AllocateShared } from '../../shared/engine/remote-engine/weights-channel.ts';

export interface ConnectedEngine {
  readonly remote: RemoteEngine;
  /** Messages to the engine. */
  readonly sent: ToEngine[];
  readonly notes: string[];
  readonly endThread: (reason: string) => void;
  readonly isEnded: () => boolean;
}

/** Connects a client and a server over a channel, in this thread, until the test ends. */
export async function connectEngine(
  allocateShared: AllocateShared | null,
  open: () => Promise<ServedEngine>,
): Promise<ConnectedEngine> {
  const { port1, port2 } = new MessageChannel();
  const serve = serveEngine({ post: (message, transfer) => port2.postMessage(message, transfer), open });
  port2.on('message', (message: ToEngine) => serve(message));
  const sent: ToEngine[] = [];
  const notes: string[] = [];
  let ended = false;
  let endThread: (reason: string) => void = () => undefined;
  const end = (): void => {
    ended = true;
    port1.close();
  };
  onTestFinished(end);
  const remote = await openRemoteEngine({
    port: {
      post(message, transfer) {
        sent.push(message);
        port1.postMessage(message, transfer);
      },
      listen(onMessage, onDeath) {
        port1.on('message', (message: FromEngine) => onMessage(message));
        endThread = onDeath;
      },
      end,
    },
    choice: 'any',
    allocateShared,
    note: (line) => void notes.push(line),
  });
  return { remote, sent, notes, endThread: (reason) => endThread(reason), isEnded: () => ended };
}

/** Serves an engine that is open already. */
export const served = (engine: Engine): (() => Promise<ServedEngine>) => {
  return () => Promise.resolve({ engine, why: 'a test' });
};

/** Memory strategies of remote engines. */
export const memoryStrategies: readonly [string, AllocateShared | null][] = [
  ['shared memory', (bytes) => new SharedArrayBuffer(bytes)],
  ['transferred buffers', null],
];
