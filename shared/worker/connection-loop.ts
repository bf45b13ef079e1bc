import { nanoid } from 'nanoid';
import { CloseCode } from '../protocol/close-codes.ts';
import { formatCoordinatorLink, type CoordinatorLink } from '../protocol/coordinator-link.ts';
import { pause } from '../util/clock.ts';
import { backoffMs } from './backoff.ts';
import { GradientComputerCache } from './gradient-computer-cache.ts';
import { runSession } from './run-session.ts';
import { SampleStores } from './sample-store.ts';
import type { WorkerOptions } from './options.ts';

/** This worker cannot take part in the run, and reconnecting would not help. */
export class RefusedError extends Error {
  /** Sentence of the coordinator or the worker, without the prefix of `message`. */
  readonly reason: string;
  /** Close code, if there was a connection. */
  readonly code: number | undefined;
  constructor(url: string, reason: string, code?: number) {
    super(`This worker cannot take part in the run at ${url}: ${reason}`);
    this.name = 'RefusedError';
    this.reason = reason;
    this.code = code;
  }
}

/** Reason for the end of a worker whose signal was aborted. */
export const LEFT = 'left';

/**
 * Runs a worker until the run is finished or the signal aborts. Reconnects after growing pauses if the connection is lost.
 * @returns reason for the end: that of the coordinator, or LEFT
 * @throws RefusedError if this worker cannot take part in the run
 */
export async function runWorker(options: WorkerOptions): Promise<string> {
  const { clock, random, report, signal, locate } = options;
  const { url: firstUrl, token: firstToken, fingerprint: firstFingerprint, ...others } = options;
  let link: CoordinatorLink = {
    url: firstUrl,
    ...(firstToken === undefined ? {} : { token: firstToken }),
    ...(firstFingerprint === undefined ? {} : { fingerprint: firstFingerprint }),
  };
  const computers = new GradientComputerCache(options.engine);
  const samples = options.sampleStore === undefined ? null : new SampleStores(options.sampleStore);
  // A client that knows the instance can take this worker's place, so it comes from a secure generator, not from `random`.
  const instance = nanoid();
  // A function, since TypeScript narrows a property that changes meanwhile.
  const isLeaving = (): boolean => signal.aborted;
  try {
    for (let attempt = 0; !isLeaving(); attempt++) {
      const { url } = link;
      const { end, isAnswerAccepted } = await runSession(
        { ...others, ...link },
        computers,
        samples,
        instance,
      );
      if (end.outcome === 'finished') return end.reason;
      const refusal = end.outcome === 'refused' ? new RefusedError(url, end.reason, end.code) : null;
      if (refusal !== null && locate === undefined) throw refusal;
      // A welcome is not enough: each connection may end at the first answer, such as those of damaged frames.
      if (isAnswerAccepted) attempt = 0;
      if (end.outcome === 'left') break;
      const waitMs = backoffMs(attempt, random());
      report.waiting(
        `No connection to ${url} (${end.reason}). Trying again in ${(waitMs / 1000).toFixed(1)} s.`,
        { reason: end.reason, code: end.code, waitMs, url },
      );
      await pause(clock, waitMs, signal, options.onRetryNow);
      if (locate === undefined || isLeaving()) continue;
      const found = await locate(link, attempt + 1, end.code);
      if (found === null) return 'The run is finished.';
      // A coordinator that was started again may have another token, or certificate.
      if (refusal !== null && formatCoordinatorLink(found) === formatCoordinatorLink(link)) throw refusal;
      link = found;
    }
    return LEFT;
  } finally {
    computers.dispose();
  }
}

/**
 * Finds another coordinator, or relay, for a worker that knows several. It tries the one that it has lost once more, and then the
 * others in turn; one that answers and has no run yet is waited for.
 * @param links in the order of preference
 * @returns function for the option `locate` of a worker
 * @example
 * const locate = locateInTurn([{ url: 'ws://relay:2718/' }, { url: 'ws://192.0.2.20:2718/' }]);
 */
export function locateInTurn(links: readonly CoordinatorLink[]): NonNullable<WorkerOptions['locate']> {
  return (current, attempt, code) => {
    if (attempt === 1 || code === CloseCode.noRun) return Promise.resolve(current);
    const next = links.findIndex(({ url }) => url === current.url) + 1;
    return Promise.resolve(links[next % links.length] ?? current);
  };
}
