import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import * as v from 'valibot';
import { invalidLinkMessage, parseCoordinatorLink } from '../../shared/protocol/coordinator-link.ts';
import { keyName } from '../../shared/util/option-names.ts';
import { CoordinatorHost } from '../hosting/coordinator.ts';
import { MAX_WORKERS } from '../server/limits/connection-limits.ts';
import { parseOrigins } from '../server/headers.ts';
import { checkSettings } from '../task/task.ts';
import { registerHost } from './hosts.ts';
import { clock } from './reporters.ts';
import { thisPackage } from './this-package.ts';

/**
 * Options of {@link createCoordinator}.
 * @example
 * ```ts
 * const options: CoordinatorOptions = { path: '/train', token: 's3cret' };
 * ```
 */
export interface CoordinatorOptions {
  /** Path below which the coordinator answers. @default '/' */
  readonly path?: string | undefined;
  /** Secret that workers need to join. @default every worker may join */
  readonly token?: string | undefined;
  /**
   * Origins of other sites, such as https://example.org, whose pages may load the worker and join.
   * @default none: pages of the server's own origin may join
   */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Address of the coordinator in your server, such as https://example.org/train/, for links on its page. @default none */
  readonly url?: string | undefined;
  /** Number of workers, at most 65536: each needs two open files. @default 1000, or as many as the system allows */
  readonly maxWorkers?: number | undefined;
  /**
   * Number of runs, also of those that fail: workers end with the last one, and stay for the next before.
   * @default any number, until close()
   */
  readonly maxRuns?: number | undefined;
  /**
   * Whether your program ends if the last of `maxRuns` fails, and may be started again: its workers then reconnect until it is.
   * @default false: they end with a failed last run, too
   */
  readonly mayRestart?: boolean | undefined;
  /** Names of options in lines for logs. @default their keys */
  readonly optionName?: ((key: string) => string) | undefined;
}

/**
 * Address of a server for {@link Coordinator.listen}.
 * @example
 * ```ts
 * const options: ListenOptions = { host: '0.0.0.0', port: 2718 };
 * ```
 */
export interface ListenOptions {
  /** Address to listen on. @default '127.0.0.1' */
  readonly host?: string | undefined;
  /** Port to listen on; 0 takes a free one. @default 0 */
  readonly port?: number | undefined;
  /** Certificate and key in PEM, to serve https and wss. @default http and ws */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}

/**
 * A place where workers and browsers join runs: one run after the other, in your own server or on a port of its own. It may exist
 * before the first run; workers that come early retry until there is one, and those of a run that is over stay for the next.
 * @example
 * ```ts
 * const coordinator: Coordinator = createCoordinator({ path: '/train' });
 * app.use(coordinator.handleRequest);
 * server.on('upgrade', coordinator.handleUpgrade);
 * ```
 */
export interface Coordinator {
  /** Addresses that workers connect to (ws:// or wss://), the nearest first; those of your own server are not known. */
  readonly urls: readonly string[];
  /** Number of connected workers. */
  readonly workerCount: number;
  /**
   * Answers a request for the page, the worker's files, /health or /metrics below the path. A function by itself, for `app.use`.
   * @param next called if the request is for something else, or no GET or HEAD
   * @returns whether the request is answered
   */
  readonly handleRequest: (
    request: IncomingMessage,
    response: ServerResponse,
    next?: (error?: unknown) => void,
  ) => boolean;
  /**
   * Opens the WebSocket of a worker or of a page below the path. A function by itself, for `server.on('upgrade', ...)`. It leaves
   * other upgrades alone, so that a listener of yours can call it and then another WebSocket server; but if it is itself the server's
   * only listener, it refuses them with 404.
   * @returns whether the request was handled
   */
  readonly handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
  /**
   * Opens a port of its own, which close() closes.
   * @returns the port that is open
   * @throws Error with a sentence if it cannot listen on that address
   */
  listen(options?: ListenOptions): Promise<number>;
  /**
   * Tells workers that there is no further run, and closes all connections and own ports. A run in progress ends with an error.
   * @param reason sentence for the workers' logs and the error
   */
  close(reason?: string): Promise<void>;
}

const optionFields = {
  path: v.optional(v.string()),
  token: v.optional(v.pipe(v.string(), v.minLength(1))),
  allowedOrigins: v.optional(v.array(v.string())),
  url: v.optional(v.string()),
  maxWorkers: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_WORKERS))),
  maxRuns: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
  mayRestart: v.optional(v.boolean()),
  optionName: v.optional(v.function()),
};
const listenFields = {
  host: v.optional(v.string()),
  port: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(65_535))),
  tls: v.optional(v.object({ cert: v.string(), key: v.string() })),
};
const DEFAULT_HOST = '127.0.0.1';

/**
 * Creates a coordinator without a port: attach it to a server of yours with `handleRequest` and `handleUpgrade`, or call `listen`.
 * Pass it to {@link train}. With a token, only workers that know it may join; without one, browsers may use only this machine's
 * own names and addresses, or pages of `allowedOrigins`.
 * @throws TypeError with a sentence if an option is wrong
 * @example
 * ```ts
 * const coordinator = createCoordinator({ token: 's3cret' });
 * await coordinator.listen({ host: '0.0.0.0', port: 2718 });
 * const model = await train({ data: 'digits/' }, { coordinator });
 * await coordinator.close();
 * ```
 */
export function createCoordinator(options: CoordinatorOptions = {}): Coordinator {
  checkSettings(options, optionFields, 'createCoordinator');
  const { path = '/', token, allowedOrigins, url, maxWorkers } = options;
  const host = new CoordinatorHost({
    path: parsePath(path),
    token,
    url: url === undefined ? undefined : parseUrl(url),
    allowedOrigins: allowedOrigins === undefined ? undefined : parseOrigins(allowedOrigins),
    maxWorkers,
    maxRuns: options.maxRuns ?? Infinity,
    mayRestart: options.mayRestart,
    pageDir: thisPackage().pageDir,
    optionName: options.optionName ?? keyName,
    clock,
  });
  const { endpoint } = host;
  const coordinator: Coordinator = {
    get urls() {
      return host.urls;
    },
    get workerCount() {
      return host.workerCount;
    },
    handleRequest: (request, response, next) => endpoint.handleRequest(request, response, next),
    handleUpgrade: endpoint.handleUpgrade,
    listen(where = {}) {
      checkSettings(where, listenFields, 'listen');
      return host.listen({ host: where.host ?? DEFAULT_HOST, port: where.port ?? 0, tls: where.tls });
    },
    close: (reason = 'The coordinator has closed.') => host.close(reason),
  };
  registerHost(coordinator, host);
  return coordinator;
}

/** Path with a slash at both ends. @throws TypeError with a sentence if it is none */
function parsePath(path: string): string {
  const isPath = path.startsWith('/') && URL.canParse(path, 'http://localhost');
  if (isPath && new URL(path, 'http://localhost').pathname === path && !path.includes('//'))
    return path.endsWith('/') ? path : `${path}/`;
  throw new TypeError(`${JSON.stringify(path)} is no path. A path begins with a slash, such as /train.`);
}

function parseUrl(url: string): string {
  const link = parseCoordinatorLink(url);
  if (link === null) throw new TypeError(invalidLinkMessage(url));
  return link.url;
}
