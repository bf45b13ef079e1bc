import { WebSocket } from 'ws';
import { PROTOCOL_VERSION, type EpochRecord, type RunMessage } from '../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/parse.ts';
import { describeStatus, type RunStatus } from './describe-status.ts';

export interface StatusFlags {
  readonly token?: string;
  readonly json?: boolean;
}

const WITHIN_MS = 10_000;

/**
 * Looks on at a run for a moment, and says how it goes.
 * @returns lines for the person
 * @throws Error with a sentence if the run cannot be reached, or does not let one look
 */
export async function readStatus(url: string, { token, json }: StatusFlags): Promise<string[]> {
  if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol)) {
    throw new Error(`'${url}' is no address of a coordinator. It looks like ws://192.168.1.20:2718.`);
  }
  const status = await observe(url, token);
  return json === true ? [JSON.stringify(status, null, 2)] : describeStatus(status);
}

function observe(url: string, token: string | undefined): Promise<RunStatus> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: WITHIN_MS });
    const fail = (reason: string): void => {
      socket.terminate();
      reject(new Error(`No status from ${url}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`nothing within ${WITHIN_MS / 1000} s`), WITHIN_MS);
    let run: RunMessage | null = null;
    let last: EpochRecord | null = null;
    socket.on('open', () =>
      socket.send(
        frameFromWorker({
          type: 'watch',
          protocol: PROTOCOL_VERSION,
          ...(token === undefined ? {} : { token }),
        }),
      ),
    );
    socket.on('message', (data: Buffer) => {
      try {
        const { message } = parseFromCoordinator(data);
        if (message.type === 'run') run = message;
        if (message.type === 'epoch') last = message.record;
        if (message.type !== 'progress' || run === null) return;
        resolve({ run, progress: message, last: last ?? run.epochs.at(-1) ?? null });
        socket.close();
      } catch (error) {
        fail(error instanceof Error ? error.message : String(error));
      }
    });
    socket.on('error', (error) => fail(error.message));
    socket.on('close', (code, reason) => {
      clearTimeout(timer);
      const said = reason.toString();
      fail(said === '' ? `connection closed (${code})` : said);
    });
  });
}
