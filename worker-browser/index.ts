/**
 * A browser tab as a worker: joins a coordinator from a page of yours and computes gradients for it. Pages of other origins than
 * the coordinator's need its permission: `createCoordinator({ allowedOrigins })`.
 *
 * With a bundler, import it from the package; without one, from the coordinator itself, which serves it as `gradcast.js`.
 *
 * @example
 * ```js
 * import { contribute } from 'gradcast/browser';
 *
 * const contribution = contribute('https://train.example/gradcast/#s3cret', {
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
import { startWorker } from './start-worker.ts';
import type { FromPage, FromTab } from './tab-messages.ts';

/**
 * Options of {@link contribute}.
 * @example
 * ```ts
 * const options: ContributionOptions = { name: 'Kitchen tablet', share: 0.5 };
 * ```
 */
export interface ContributionOptions {
  /** Token of the coordinator. @default the token of the link, if it has one */
  readonly token?: string | undefined;
  /** Name of the tab in the run. @default 'Browser' */
  readonly name?: string | undefined;
  /** Part of the time that the tab may compute, above 0 to 1. @default 1 */
  readonly share?: number | undefined;
  /**
   * Folder with the files of the package's `dist/page/`, whose Web Workers compute.
   * @default the files that a bundler has found beside this module; without them those of the coordinator, if it has this version
   */
  readonly filesUrl?: string | URL | undefined;
  /** Called when the state of the contribution changes. @default none */
  readonly onStatus?: ((status: ContributionStatus) => void) | undefined;
  /** Receives lines about problems, such as a lost GPU. @default none */
  readonly onProblem?: ((line: string) => void) | undefined;
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
  /** Joined, and without work: steps are faster without this tab, or the coordinator waits for its next run. */
  | { readonly state: 'standby'; readonly workerId: string; readonly reason: string }
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
 * const contribution: Contribution = contribute(link);
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

/** Starts the Web Worker beside this module. Bundlers find the file of the package by these very words. */
const startOwnWorker = (): Worker =>
  IS_SERVED
    ? startWorker(new URL(TAB_WORKER_FILE, import.meta.url), location.origin)
    : new Worker(new URL('./tab-worker.js', import.meta.url), { type: 'module' });

/**
 * Starts a tab's contribution to a run, in Web Workers of its own. It reconnects whenever it loses the connection, and waits if no
 * run has begun.
 * @param url link to the coordinator: the one that it prints, http(s)://, ws(s):// or host:port; or a path on the page's own origin
 * @throws Error if the link is not the address of a coordinator
 * @example
 * ```ts
 * const contribution = contribute('/train', { share: 0.5 });
 * ```
 */
export function contribute(url: string | URL, options: ContributionOptions = {}): Contribution {
  const { name = 'Browser', share = 1, onStatus, onProblem, filesUrl } = options;
  const text = String(url);
  const parsed = parseCoordinatorLink(text.startsWith('/') ? new URL(text, location.href).href : text);
  if (parsed === null) throw new Error(invalidLinkMessage(text));
  const token = options.token ?? parsed.token;
  const served = (folder: string | URL): Worker =>
    startWorker(new URL(TAB_WORKER_FILE, new URL(folder, location.href)), location.origin);
  let status: ContributionStatus = { state: 'connecting' };
  let worker: Worker;
  let currentShare = share;
  let hasWorked = false;
  let workerId = '';

  const post = (message: FromPage): void => worker.postMessage(message);
  const setStatus = (next: ContributionStatus): void => {
    status = next;
    onStatus?.(next);
  };
  const setShare = (value: number): void => {
    currentShare = value;
    post({ type: 'share', share: value });
  };
  const resume = (): void => post({ type: 'join', url: parsed.url, name, token });
  const use = (started: Worker, onMissing: (() => void) | null): void => {
    worker = started;
    worker.onmessage = ({ data }: MessageEvent<FromTab>) => {
      hasWorked = true;
      if (data.type === 'note') onProblem?.(data.line);
      if (data.type === 'joined') workerId = data.workerId;
      const next = toStatus(data, workerId);
      if (next !== null) setStatus(next);
    };
    worker.onerror = ({ message }) => {
      worker.terminate();
      if (onMissing !== null && !hasWorked) onMissing();
      else setStatus({ state: 'failed', reason: message || 'The browser could not load the Web Worker.' });
    };
    setShare(currentShare);
    resume();
  };

  if (filesUrl !== undefined) use(served(filesUrl), null);
  else use(startOwnWorker(), () => use(served(formatCoordinatorLink({ url: parsed.url })), null));
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
function toStatus(message: FromTab, workerId: string): ContributionStatus | null {
  switch (message.type) {
    case 'connecting':
    case 'paused':
      return { state: message.type };
    case 'building':
      return { state: 'loading' };
    case 'joined':
      return { state: 'contributing', workerId };
    case 'standby':
      return message.onStandby
        ? { state: 'standby', workerId, reason: message.reason }
        : { state: 'contributing', workerId };
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
    case 'samplePredictions':
      return null;
  }
}
