import type { Clock } from '../../shared/util/clock.ts';
import {
  closeReason,
  CloseCode,
  FATAL_CLOSE_CODES,
  ProtocolError,
} from '../../shared/protocol/close-codes.ts';
import { PROTOCOL_VERSION, type FromWorker } from '../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/parse.ts';
import type { Connect, Connection } from '../../shared/protocol/transport.ts';
import { backoffMs } from '../../shared/worker/backoff.ts';
import { watchLiveness } from '../../shared/worker/liveness.ts';
import type { RunEvent } from './run-state.ts';

/** The next run is not to be expected at once: as after so many tries. */
const NEXT_RUN_ATTEMPT = 5;

export interface RunWatchOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly connect: Connect;
  readonly clock: Clock;
  /** In [0, 1); spreads the reconnects. */
  readonly random: () => number;
  readonly onEvent: (event: RunEvent) => void;
  /** The weights that were asked for, in float32. */
  readonly onWeights: (payload: Uint8Array) => void;
}

/** An observer of the run. */
export interface RunWatch {
  /** Asks for the weights of now; nothing while there is no connection. */
  askForWeights(): void;
  /** Tries to connect now if it is waiting to. */
  retryNow(): void;
}

/**
 * Watches a run over its whole life, coming back with growing pauses whenever the connection is lost; when the run is
 * finished, for the next one.
 */
export function watchRun(options: RunWatchOptions): RunWatch {
  const { url, token, clock, random, onEvent, onWeights } = options;
  let connection: Connection | null = null;
  let attempt = 0;
  /** The run that was watched is finished; nothing is said until there is another. */
  let finished = false;
  let cancelWait: (() => void) | null = null;

  const open = (): void => {
    cancelWait = null;
    let closed = false;
    if (!finished) onEvent({ type: 'connecting' });
    const send = (message: FromWorker): void => current.send(frameFromWorker(message));
    const lost = (code: number, reason: string): void => {
      if (closed) return;
      closed = true;
      connection = null;
      silence.stop();
      if (code === CloseCode.unauthorized) {
        onEvent({ type: 'locked' });
        return;
      }
      if (FATAL_CLOSE_CODES.has(code)) {
        onEvent({ type: 'over', reason, looking: false });
        return;
      }
      const waitMs = backoffMs(attempt++, random());
      if (!finished) onEvent({ type: 'lost', reason });
      cancelWait = clock.after(waitMs, open);
    };
    const silence = watchLiveness(clock, () => {
      current.terminate();
      lost(CloseCode.timeout, 'the coordinator has gone silent');
    });
    const current = options.connect(url, {
      onOpen() {
        connection = current;
        send({ type: 'watch', protocol: PROTOCOL_VERSION, ...(token === undefined ? {} : { token }) });
      },
      onFrame(bytes) {
        if (closed) return;
        silence.heard();
        try {
          const { message, payload } = parseFromCoordinator(bytes);
          if (message.type === 'run') {
            attempt = 0;
            finished = false;
            send({ type: 'snapshot', atEnd: true });
          }
          if (message.type === 'ping') send({ type: 'pong', id: message.id });
          else if (message.type === 'weights') onWeights(payload);
          else {
            if (message.type === 'finished') {
              finished = true;
              attempt = NEXT_RUN_ATTEMPT;
            }
            onEvent({ type: 'message', message });
          }
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          current.close(error.code, closeReason(error.message));
        }
      },
      onClose: lost,
    });
  };

  open();
  return {
    askForWeights: () => connection?.send(frameFromWorker({ type: 'snapshot' })),
    retryNow() {
      if (cancelWait === null) return;
      cancelWait();
      attempt = 0;
      open();
    },
  };
}
