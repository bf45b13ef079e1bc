import {
  invalidLinkMessage,
  parseCoordinatorLink,
  type CoordinatorLink,
} from '../../shared/protocol/coordinator-link.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { closeReason, CloseCode } from '../../shared/protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type EpochRecord,
  type FromCoordinator,
  type RunMessage,
  type WorkerRow,
} from '../../shared/protocol/messages.ts';
import { watchRun } from '../../shared/observer/watch-run.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/frame.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { Connect, ConnectionEvents } from '../../shared/protocol/transport.ts';
import { describeStatus, type RunStatus } from './describe-status.ts';

export interface StatusContext {
  /** Creates a function that opens connections. @param fingerprints of the only certificates to trust, if any */
  readonly createConnector: (fingerprints: readonly string[] | undefined) => Promise<Connect>;
}

export interface StatusFlags {
  readonly token?: string;
  /** SHA-256 fingerprints of the only certificates to trust. */
  readonly fingerprint?: readonly string[];
  readonly json?: boolean;
}

const TIMEOUT_MS = 10_000;

/**
 * Connects to a run as an observer, reads its status, and disconnects.
 * @param link to the coordinator; its token takes precedence over the option, its fingerprint must be one of the options'
 * @returns lines for the user
 * @throws Error with a message for the user if the run cannot be reached, or refuses observers
 */
export async function readStatus(
  link: string,
  flags: StatusFlags,
  { createConnector }: StatusContext,
): Promise<string[]> {
  const connect = await createConnector(flags.fingerprint);
  const status = await fetchStatus(parseLink(link, flags), connect);
  return flags.json === true ? [JSON.stringify(status, null, 2)] : describeStatus(status);
}

export interface WatchContext extends StatusContext {
  readonly clock: Clock;
  /** In [0, 1); spreads the reconnects. */
  readonly random: () => number;
  readonly onStatus: (status: RunStatus) => void;
  /** Receives the reason for a lost connection, which is opened again. */
  readonly onLost: (reason: string) => void;
}

/**
 * Watches a run as an observer until its end. A lost connection is opened again.
 * @param link as of readStatus
 * @returns reason for the end of the run
 * @throws Error with a message for the user if the run cannot be reached at first, or refuses observers
 */
export async function watchStatus(
  link: string,
  flags: StatusFlags,
  { createConnector, clock, random, onStatus, onLost }: WatchContext,
): Promise<string> {
  const { url, token, fingerprint } = parseLink(link, flags);
  const connect = await createConnector(flags.fingerprint);
  return new Promise((resolve, reject) => {
    let run: RunMessage | null = null;
    let epochs: EpochRecord[] = [];
    let rows: readonly WorkerRow[] = [];
    const end = (settle: () => void): void => {
      watch.close();
      settle();
    };
    const fail = (reason: string): void => end(() => reject(noStatus(url, reason)));
    const onMessage = (message: FromCoordinator): void => {
      if (message.type === 'run') {
        run = message;
        epochs = [...message.epochs];
      }
      if (message.type === 'epoch') epochs.push(message.record);
      if (message.type === 'finished') end(() => resolve(message.reason));
      if (message.type !== 'progress' || run === null) return;
      rows = message.workers ?? rows;
      onStatus({ run, progress: { ...message, workers: [...rows] }, last: epochs.at(-1) ?? null });
    };
    const watch = watchRun({
      url,
      token,
      fingerprint,
      connect,
      clock,
      random,
      onEvent(event) {
        if (event.type === 'message') onMessage(event.message);
        else if (event.type === 'over' || event.type === 'locked') fail(event.reason);
        else if (event.type === 'lost' && run === null) fail(event.reason);
        else if (event.type === 'lost') onLost(event.reason);
      },
    });
  });
}

const noStatus = (url: string, reason: string): Error =>
  new Error(`No status from ${url}: ${sanitizeForTerminal(reason)}`);

function parseLink(link: string, { token }: StatusFlags): CoordinatorLink {
  const parsed = parseCoordinatorLink(link);
  if (parsed === null) throw new Error(invalidLinkMessage(link));
  return { ...(token === undefined ? {} : { token }), ...parsed };
}

function fetchStatus({ url, token, fingerprint }: CoordinatorLink, connect: Connect): Promise<RunStatus> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      clearTimeout(timer);
      connection.terminate();
      reject(noStatus(url, reason));
    };
    const timer = setTimeout(() => fail(`no answer within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    let run: RunMessage | null = null;
    let last: EpochRecord | null = null;
    const onFrame = (frame: Uint8Array): void => {
      try {
        const { message } = parseFromCoordinator(frame);
        if (message.type === 'run') run = message;
        if (message.type === 'epoch') last = message.record;
        if (message.type !== 'progress' || message.workers === undefined || run === null) return;
        const progress = { ...message, workers: message.workers };
        resolve({ run, progress, last: last ?? run.epochs.at(-1) ?? null });
        connection.close(CloseCode.normal, closeReason('The status has been read.'));
      } catch (error) {
        fail(errorMessage(error));
      }
    };
    const events: ConnectionEvents = {
      onOpen: () =>
        connection.send(
          frameFromWorker({
            type: 'watch',
            protocol: PROTOCOL_VERSION,
            ...(token === undefined ? {} : { token }),
          }),
        ),
      onFrame,
      onClose: (code, reason) => fail(reason === '' ? `connection closed (${code})` : reason),
    };
    const connection = connect(url, events, fingerprint);
  });
}
