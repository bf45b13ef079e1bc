import type { Clock } from '../../shared/util/clock.ts';
import {
  closeReason,
  CloseCode,
  FATAL_CLOSE_CODES,
  ProtocolError,
} from '../../shared/protocol/close-codes.ts';
import { PROTOCOL_VERSION, type DetailsMessage, type FromWorker } from '../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/frame.ts';
import type { Connect, Connection } from '../../shared/protocol/transport.ts';
import { backoffMs } from '../../shared/worker/backoff.ts';
import { watchLiveness } from '../../shared/worker/liveness.ts';
import type { RunEvent } from './run-state.ts';

/** Attempt number after the end of a run: the next run is not expected at once, so the first pause is long. */
const NEXT_RUN_ATTEMPT = 5;

export interface RunWatchOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly connect: Connect;
  readonly clock: Clock;
  /** In [0, 1); spreads the reconnects. */
  readonly random: () => number;
  readonly onEvent: (event: RunEvent) => void;
  /** Receives requested weights, in float32. */
  readonly onWeights: (payload: Uint8Array) => void;
  /** Receives names and test samples, once a connection. */
  readonly onDetails: (message: DetailsMessage, payload: Uint8Array) => void;
}

/** Connection of an observer to the run's feed. */
export interface RunWatch {
  /** Requests the current weights; does nothing without a connection. */
  requestWeights(): void;
  /** Reconnects now, if it waits to do so. */
  retryNow(): void;
}

/**
 * Watches a run until its end, and then the next one. Reconnects with growing pauses whenever the connection is lost.
 */
export function watchRun(options: RunWatchOptions): RunWatch {
  const { url, token, clock, random, onEvent, onWeights, onDetails } = options;
  let connection: Connection | null = null;
  let attempt = 0;
  /** Whether the run is finished and no other one has begun; meanwhile lost connections are not reported. */
  let hasFinished = false;
  let cancelWait: (() => void) | null = null;

  const open = (): void => {
    cancelWait = null;
    let hasClosed = false;
    let frameCount = 0;
    if (!hasFinished) onEvent({ type: 'connecting' });
    const send = (message: FromWorker): void => current.send(frameFromWorker(message));
    const onLost = (code: number, reason: string): void => {
      if (hasClosed) return;
      hasClosed = true;
      connection = null;
      stopWatching();
      if (code === CloseCode.unauthorized) {
        onEvent({ type: 'locked' });
        return;
      }
      if (FATAL_CLOSE_CODES.has(code)) {
        onEvent({ type: 'over', reason, awaitsNextRun: false });
        return;
      }
      const waitMs = backoffMs(attempt++, random());
      if (!hasFinished) onEvent({ type: 'lost', reason });
      cancelWait = clock.after(waitMs, open);
    };
    const onSilent = (): void => {
      current.terminate();
      onLost(CloseCode.timeout, 'the coordinator has gone silent');
    };
    const stopWatching = watchLiveness(clock, () => frameCount, onSilent);
    const current = options.connect(url, {
      onOpen() {
        connection = current;
        send({ type: 'watch', protocol: PROTOCOL_VERSION, ...(token === undefined ? {} : { token }) });
      },
      onFrame(bytes) {
        if (hasClosed) return;
        frameCount++;
        try {
          const { message, payload } = parseFromCoordinator(bytes);
          if (message.type === 'run') {
            attempt = 0;
            hasFinished = false;
            send({ type: 'snapshot', atEnd: true });
            send({ type: 'inspect' });
          }
          if (message.type === 'ping') send({ type: 'pong', id: message.id });
          else if (message.type === 'weights') onWeights(payload);
          else if (message.type === 'details') onDetails(message, payload);
          else {
            if (message.type === 'finished') {
              hasFinished = true;
              attempt = NEXT_RUN_ATTEMPT;
            }
            onEvent({ type: 'message', message });
          }
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          current.close(error.code, closeReason(error.message));
        }
      },
      onClose: onLost,
    });
  };

  open();
  return {
    requestWeights: () => connection?.send(frameFromWorker({ type: 'snapshot' })),
    retryNow() {
      if (cancelWait === null) return;
      cancelWait();
      attempt = 0;
      open();
    },
  };
}
