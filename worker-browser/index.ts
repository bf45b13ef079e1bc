/**
 * A browser tab as a worker: joins a coordinator from a page of yours and computes gradients for it. The coordinator accepts
 * pages of its own host and port only, so both are usually behind one reverse proxy.
 *
 * @example
 * ```js
 * import { contribute } from 'gradcast/browser';
 *
 * const contribution = contribute({
 *   link: 'https://train.example/gradcast/#s3cret',
 *   onStatus: ({ state }) => console.log(state),
 * });
 * document.querySelector('#leave').onclick = () => contribution.stop();
 * ```
 * @packageDocumentation
 */
import {
  formatCoordinatorLink,
  invalidLinkMessage,
  parseCoordinatorLink,
} from '../shared/protocol/coordinator-link.ts';
import type { FromPage, FromTab } from './tab-messages.ts';

/**
 * Options of {@link contribute}.
 * @example
 * ```ts
 * const options: ContributionOptions = { link: 'https://train.example/gradcast/', name: 'Kitchen tablet', share: 0.5 };
 * ```
 */
export interface ContributionOptions {
  /** Link to the coordinator: the one that it prints, http(s)://, ws(s):// or host:port. */
  readonly link: string;
  /** Token of the coordinator. @default the token of the link, if it has one */
  readonly token?: string;
  /** Name of the tab in the run. @default 'Browser' */
  readonly name?: string;
  /** Part of the time that the tab may compute, above 0 to 1. @default 1 */
  readonly share?: number;
  /**
   * Folder on the page's own origin with the files of the package's `dist/page/`, whose Web Workers compute.
   * @default the coordinator's address: it serves them itself, if it has the version of this package
   */
  readonly filesUrl?: string | URL;
  /** Called when the state of the contribution changes. @default none */
  readonly onStatus?: (status: ContributionStatus) => void;
  /** Receives lines about problems, such as a lost GPU. @default none */
  readonly onProblem?: (line: string) => void;
}

/**
 * State of a contribution.
 * @example
 * ```ts
 * const onStatus = (status: ContributionStatus): void => {
 *   if (status.state === 'waiting') console.log(`${status.reason}, next try in ${status.retryInMs} ms`);
 * };
 * ```
 */
export type ContributionStatus =
  /** Connecting to the coordinator. */
  | { readonly state: 'connecting' }
  /** Building the model. */
  | { readonly state: 'loading' }
  /** Computing gradients. */
  | { readonly state: 'contributing'; readonly workerId: string }
  /** Without a connection, before the next try. */
  | { readonly state: 'waiting'; readonly reason: string; readonly retryInMs: number }
  /** Paused by {@link Contribution.pause}. */
  | { readonly state: 'paused' }
  /** The run is over. */
  | { readonly state: 'finished'; readonly reason: string }
  /** Rejected by the coordinator for good. `code` is the close code of the connection, if there was one. */
  | { readonly state: 'refused'; readonly reason: string; readonly code: number | undefined }
  /** Unable to compute in this browser. */
  | { readonly state: 'failed'; readonly reason: string };

/**
 * A tab's part in a run.
 * @example
 * ```ts
 * const contribution: Contribution = contribute({ link });
 * document.addEventListener('visibilitychange', () => contribution.setShare(document.hidden ? 0.2 : 1));
 * ```
 */
export interface Contribution {
  /** Latest state. */
  readonly status: ContributionStatus;
  /** Leaves the run; the engine stays open. */
  pause(): void;
  /** Joins the run again. */
  resume(): void;
  /** @param share part of the time that the tab may compute, above 0 to 1 */
  setShare(share: number): void;
  /** Leaves the run and ends the Web Worker. Nothing can be called after it. */
  stop(): void;
}

/** Time that a worker has to say goodbye before it is ended. */
const GOODBYE_MS = 1_000;

/**
 * Starts a tab's contribution to a run, in Web Workers of its own. It reconnects whenever it loses the connection.
 * @throws Error if the link is not the address of a coordinator
 * @example
 * ```ts
 * const contribution = contribute({ link: 'https://train.example/gradcast/#s3cret', share: 0.5 });
 * ```
 */
export function contribute(options: ContributionOptions): Contribution {
  const { link, name = 'Browser', share = 1, onStatus, onProblem } = options;
  const parsed = parseCoordinatorLink(link);
  if (parsed === null) throw new Error(invalidLinkMessage(link));
  const { url } = parsed;
  const token = options.token ?? parsed.token;
  const filesUrl = new URL(options.filesUrl ?? formatCoordinatorLink({ url }), location.href);
  const worker = new Worker(new URL(TAB_WORKER_FILE, filesUrl), { type: 'module' });
  let status: ContributionStatus = { state: 'connecting' };

  const post = (message: FromPage): void => worker.postMessage(message);
  const setStatus = (next: ContributionStatus): void => {
    status = next;
    onStatus?.(next);
  };
  worker.onmessage = ({ data }: MessageEvent<FromTab>) => {
    if (data.type === 'note') onProblem?.(data.line);
    const next = toStatus(data);
    if (next !== null) setStatus(next);
  };
  worker.onerror = ({ message }) =>
    setStatus({ state: 'failed', reason: message || 'The browser could not load the Web Worker.' });
  const setShare = (value: number): void => post({ type: 'share', share: value });
  const resume = (): void => post({ type: 'join', url, name, token });

  setShare(share);
  resume();
  return {
    get status() {
      return status;
    },
    pause: () => post({ type: 'pause' }),
    resume,
    setShare,
    stop() {
      post({ type: 'pause' });
      setTimeout(() => worker.terminate(), GOODBYE_MS);
    },
  };
}

/** @returns null for a message that does not change the state */
function toStatus(message: FromTab): ContributionStatus | null {
  switch (message.type) {
    case 'connecting':
    case 'paused':
      return { state: message.type };
    case 'building':
      return { state: 'loading' };
    case 'joined':
      return { state: 'contributing', workerId: message.workerId };
    case 'waiting':
      return { state: 'waiting', reason: message.reason, retryInMs: message.waitMs };
    case 'finished':
    case 'failed':
      return { state: message.type, reason: message.reason };
    case 'refused':
      return { state: 'refused', reason: message.reason, code: message.code };
    case 'engine':
    case 'note':
    case 'prediction':
    case 'standby':
      return null;
  }
}
