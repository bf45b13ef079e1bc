import type { Clock } from '../util/clock.ts';
import { closeReason, CloseCode, FATAL_CLOSE_CODES, ProtocolError } from '../protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type DetailsMessage,
  type FromCoordinator,
  type FromWorker,
} from '../protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../protocol/frame.ts';
import type { Connect, Connection, ConnectionEvents } from '../protocol/transport.ts';
import { backoffMs } from '../worker/backoff.ts';
import { watchLiveness } from '../worker/liveness.ts';

/** Attempt number after the end of a run: the next run is not expected at once, so the first pause is long. */
const NEXT_RUN_ATTEMPT = 5;

/** News of a watched run. */
export type WatchEvent =
  | { readonly type: 'connecting' }
  | { readonly type: 'message'; readonly message: FromCoordinator }
  /** The connection is lost; it is opened again. */
  | { readonly type: 'lost'; readonly reason: string }
  /** The coordinator refuses this observer, which does not reconnect. */
  | { readonly type: 'over'; readonly reason: string; readonly awaitsNextRun: boolean }
  /** The coordinator requires a token that this observer does not have. */
  | { readonly type: 'locked'; readonly reason: string };

export interface RunWatchOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly connect: Connect;
  readonly clock: Clock;
  /** In [0, 1); spreads the reconnects. */
  readonly random: () => number;
  readonly onEvent: (event: WatchEvent) => void;
  /** SHA-256 of the only certificate to trust. @default those that this machine trusts */
  readonly fingerprint?: string | undefined;
  /** Receives requested weights, in float32, and those of the run's end. @default none are requested */
  readonly onWeights?: ((payload: Uint8Array) => void) | undefined;
  /** Receives names and test samples, once a connection. @default none are requested */
  readonly onDetails?: ((message: DetailsMessage, payload: Uint8Array) => void) | undefined;
}

/** Connection of an observer to the run's feed. */
export interface RunWatch {
  /** Requests the current weights; does nothing without a connection. */
  requestWeights(): void;
  /** Reconnects now, if it waits to do so. */
  retryNow(): void;
  /** Ends the connection; no event follows. */
  close(): void;
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

  let end = (): void => undefined;

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
        onEvent({ type: 'locked', reason });
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
    end = () => {
      hasClosed = true;
      stopWatching();
      current.close(CloseCode.normal, closeReason('The observer has left.'));
    };
    const events: ConnectionEvents = {
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
            if (onWeights !== undefined) send({ type: 'snapshot', atEnd: true });
            if (onDetails !== undefined) send({ type: 'inspect' });
          }
          if (message.type === 'ping') send({ type: 'pong', id: message.id });
          else if (message.type === 'weights') onWeights?.(payload);
          else if (message.type === 'details') onDetails?.(message, payload);
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
    };
    const current = options.connect(url, events, options.fingerprint);
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
    close() {
      cancelWait?.();
      cancelWait = null;
      end();
    },
  };
}
