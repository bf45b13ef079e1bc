import type { Engine } from '../../shared/engine/engine.ts';
import type { Connect, Connection } from '../../shared/protocol/transport.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import type { ConnectionHandler } from '../server/websocket.ts';
import type { LocalWorkers } from './local-workers.ts';

export interface InProcessWorkerOptions {
  readonly engine: Engine;
  /** Accepts the worker's connection; see AttachOptions. */
  readonly connect: (
    connection: Connection,
    onAccepted: (handler: ConnectionHandler) => void,
  ) => ConnectionHandler;
  readonly token?: string | undefined;
  readonly clock: Clock;
  /** Prints a line about this worker. */
  readonly note: (line: string) => void;
}

const NAME = 'in-process';
/** Close code of a connection that was cut. */
const CUT = 1006;

/** Starts a worker in this process, whose connection is in memory. It joins like any other worker. */
export function startInProcessWorker({
  engine,
  connect,
  token,
  clock,
  note,
}: InProcessWorkerOptions): LocalWorkers {
  const leave = new AbortController();
  const ended = runWorker({
    url: NAME,
    name: NAME,
    engine,
    connect: connectInMemory(connect),
    clock,
    random: Math.random,
    report: {
      joined: () => undefined,
      computed: () => undefined,
      waiting: (line) => note(line),
      note,
    },
    signal: leave.signal,
    ...(token === undefined ? {} : { token }),
  }).catch(errorMessage);
  return {
    exited: new Promise((resolve) => {
      void ended.then((reason) => {
        if (!leave.signal.aborted) resolve(reason);
      });
    }),
    async stop() {
      leave.abort();
      await ended;
    },
  };
}

/**
 * Connects a worker to the coordinator of this process. Frames arrive as copies, since either side reuses the memory of its own,
 * and after send() has returned, so that sockets are read between two of them.
 */
function connectInMemory(accept: InProcessWorkerOptions['connect']): Connect {
  return (_url, events) => {
    /** A connection that closes still delivers the frames that were sent before. */
    let isOpen = true;
    let hasClosed = false;
    const close = (code: number, reason: string): void => {
      if (!isOpen) return;
      isOpen = false;
      setImmediate(() => {
        hasClosed = true;
        handler.onClose(code, reason);
        events.onClose(code, reason);
      });
    };
    const end = (receive: (frame: Uint8Array) => void): Connection => ({
      isSameMachine: true,
      bufferedBytes: 0,
      send(frame) {
        if (!isOpen) return;
        const copy = new Uint8Array(frame);
        setImmediate(() => {
          if (!hasClosed) receive(copy);
        });
      },
      close,
      terminate: () => close(CUT, ''),
    });
    const coordinatorEnd = end((frame) => events.onFrame(frame));
    const workerEnd = end((frame) => handler.onFrame(frame));
    let handler = accept(coordinatorEnd, (accepted) => {
      handler = accepted;
    });
    setImmediate(() => events.onOpen());
    return workerEnd;
  };
}
