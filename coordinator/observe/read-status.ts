import {
  invalidLinkMessage,
  parseCoordinatorLink,
  type CoordinatorLink,
} from '../../shared/protocol/coordinator-link.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { closeReason, CloseCode } from '../../shared/protocol/close-codes.ts';
import { PROTOCOL_VERSION, type EpochRecord, type RunMessage } from '../../shared/protocol/messages.ts';
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
  { token, fingerprint, json }: StatusFlags,
  { createConnector }: StatusContext,
): Promise<string[]> {
  const parsed = parseCoordinatorLink(link);
  if (parsed === null) throw new Error(invalidLinkMessage(link));
  const connect = await createConnector(fingerprint);
  const status = await fetchStatus({ ...(token === undefined ? {} : { token }), ...parsed }, connect);
  return json === true ? [JSON.stringify(status, null, 2)] : describeStatus(status);
}

function fetchStatus({ url, token, fingerprint }: CoordinatorLink, connect: Connect): Promise<RunStatus> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      clearTimeout(timer);
      connection.terminate();
      reject(new Error(`No status from ${url}: ${sanitizeForTerminal(reason)}`));
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
