import { invalidLinkMessage, parseCoordinatorLink } from '../../shared/protocol/coordinator-link.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { closeReason, CloseCode } from '../../shared/protocol/close-codes.ts';
import { PROTOCOL_VERSION, type EpochRecord, type RunMessage } from '../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/parse.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { Connect } from '../../shared/protocol/transport.ts';
import { describeStatus, type RunStatus } from './describe-status.ts';

/** Connects as a worker does; with a fingerprint, only to the server that has this certificate. */
export interface StatusContext {
  readonly createConnector: (fingerprint: string | undefined) => Promise<Connect>;
}

export interface StatusFlags {
  readonly token?: string;
  /** Of the one certificate to trust. */
  readonly fingerprint?: string;
  readonly json?: boolean;
}

const TIMEOUT_MS = 10_000;

/**
 * Looks on at a run for a moment, and says how it goes.
 * @param link to the coordinator; a token in it is used rather than the option's
 * @returns lines for the person
 * @throws Error with a sentence if the run cannot be reached, or does not let one look
 */
export async function readStatus(
  link: string,
  { token, fingerprint, json }: StatusFlags,
  { createConnector }: StatusContext,
): Promise<string[]> {
  const parsed = parseCoordinatorLink(link);
  if (parsed === null) throw new Error(invalidLinkMessage(link));
  const status = await fetchStatus(parsed.url, parsed.token ?? token, await createConnector(fingerprint));
  return json === true ? [JSON.stringify(status, null, 2)] : describeStatus(status);
}

function fetchStatus(url: string, token: string | undefined, connect: Connect): Promise<RunStatus> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      clearTimeout(timer);
      connection.terminate();
      reject(new Error(`No status from ${url}: ${sanitizeForTerminal(reason)}`));
    };
    const timer = setTimeout(() => fail(`nothing within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    let run: RunMessage | null = null;
    let last: EpochRecord | null = null;
    const onFrame = (frame: Uint8Array): void => {
      try {
        const { message } = parseFromCoordinator(frame);
        if (message.type === 'run') run = message;
        if (message.type === 'epoch') last = message.record;
        if (message.type !== 'progress' || run === null) return;
        resolve({ run, progress: message, last: last ?? run.epochs.at(-1) ?? null });
        connection.close(CloseCode.normal, closeReason('That is all.'));
      } catch (error) {
        fail(errorMessage(error));
      }
    };
    const connection = connect(url, {
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
    });
  });
}
