import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Clock } from '../../shared/util/clock.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { OptionName } from '../../shared/util/option-names.ts';
import type { BlockRateLimits } from './limits/block-rate-limiter.ts';
import {
  connectionLimitsFor,
  DEFAULT_WORKERS,
  joinLimitsFor,
  readDescriptorLimit,
} from './limits/connection-limits.ts';
import { ReceiveBudget } from './limits/receive-budget.ts';
import type { RefusalRateLimiter } from './limits/refusal-rate-limiter.ts';
import { HttpRateLimiter } from './limits/http-rate-limiter.ts';
import { explainOriginRefusal, isOriginAllowed, type HostRule } from './access.ts';
import { allowOrigin, setSecurityHeaders } from './headers.ts';
import { findPageFiles } from './page-files.ts';
import { PendingConnectionLimiter, type PendingLimits } from './limits/pending-connections.ts';
import type { Answer, Routes } from './routes.ts';
import { attachWebSocket, CLOSE_GRACE_MS, type AttachOptions, type UpgradedSocket } from './websocket.ts';

export interface EndpointOptions {
  /** Path below which requests are answered, with a slash at both ends. */
  readonly path: string;
  /** Folder of the page for browsers. */
  readonly pageDir: string;
  /** Routes that take precedence over the page. */
  readonly routes: Routes;
  /** Whether workers need a token; if so, browsers may use any host name. */
  readonly hasToken: boolean;
  /** Origins of other sites whose pages may load the files and join. @default none */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Addresses with too many refusals. */
  readonly refusals?: Pick<RefusalRateLimiter, 'isBlocked' | 'recordRefusal'>;
  /** Receives the reason when a browser may not open a WebSocket. */
  readonly onRefused?: (sentence: string) => void;
  /** Names of options in these reasons. @default those of the command line */
  readonly optionName?: OptionName | undefined;
  readonly clock: Clock;
  /** Number of workers, by which the defaults of the limits below go. @default DEFAULT_WORKERS */
  readonly maxWorkers?: number | undefined;
  /** Limits on connections that are not admitted yet. @default by joinLimitsFor, or half of all connections if that is less */
  readonly pending?: PendingLimits;
  /** Limits on connections and requests. @default by joinLimitsFor */
  readonly httpLimits?: BlockRateLimits;
  /** Number of connections of all kinds. @default as many as the process's descriptors allow */
  readonly maxConnections?: number;
}

/** A run as the endpoint serves it. */
export interface ServedRun {
  /** Size of the largest frame that a client needs to send. */
  readonly maxFrameBytes: number;
  readonly connect: AttachOptions['connect'];
  /** Number of large messages that are received at a time. @default that of ReceiveBudget */
  readonly maxLargeMessages?: number | undefined;
}

/** Number of fragments that any message may have. Each fragment takes memory beside its bytes. */
const MIN_FRAGMENTS = 1_024;
const FRAGMENT_BYTES = 4_096;
/** A client without a run to join is told so before it sends anything. */
const NO_RUN_LIMITS = { maxFrameBytes: 1_024 };
/** Reason for workers that join between two runs; they retry. */
export const NO_RUN = 'No run has begun yet.';

/**
 * The coordinator's part of an HTTP server: answers the requests below a path and opens their WebSockets. It has no port of
 * its own. All limits on clients are here, so that they hold in any server.
 */
export class Endpoint {
  readonly path: string;
  /** Name of the address that each own server listens on. */
  readonly listensOn = new WeakMap<object, string>();
  readonly #options: EndpointOptions;
  readonly #maxConnections: number;
  readonly #pending: PendingConnectionLimiter;
  readonly #limits: HttpRateLimiter;
  readonly #pageFile: Routes;
  /** Sockets that count: all of an own server, and those of WebSockets in another server. */
  readonly #sockets = new Set<Duplex>();
  readonly #webSockets = new Set<WebSocket>();
  #run: { readonly served: ServedRun; readonly sockets: WebSocketServer; readonly budget: ReceiveBudget };

  constructor(options: EndpointOptions) {
    const { path, clock, maxWorkers = DEFAULT_WORKERS } = options;
    const { maxConnections = connectionLimitsFor(readDescriptorLimit(), maxWorkers).connections } = options;
    const { pending, http } = joinLimitsFor(maxWorkers);
    const half = Math.max(1, maxConnections >> 1);
    this.path = path;
    this.#options = options;
    this.#maxConnections = maxConnections;
    this.#pending = new PendingConnectionLimiter(
      options.pending ?? { ...pending, total: Math.min(pending.total, half) },
    );
    this.#limits = new HttpRateLimiter(clock, this.#pending, options.httpLimits ?? http);
    this.#pageFile = findPageFiles(options.pageDir);
    this.#run = this.#open({ ...NO_RUN_LIMITS, connect: rejectWithoutRun });
  }

  /** Serves a run from now on. @returns function that ends that, unless another run is served by then */
  serve(served: ServedRun): () => void {
    const run = this.#open(served);
    this.#run = run;
    return () => {
      if (this.#run === run) this.#run = this.#open({ ...NO_RUN_LIMITS, connect: rejectWithoutRun });
    };
  }

  #open(served: ServedRun): { served: ServedRun; sockets: WebSocketServer; budget: ReceiveBudget } {
    const { maxFrameBytes, maxLargeMessages } = served;
    const sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      // Pings count against a budget first; see attachWebSocket.
      autoPong: false,
      // A subprotocol that a client offers is ignored.
      handleProtocols: () => false,
      // More than our own limit, so that a slightly larger frame is refused with a reason and not only with code 1009.
      maxPayload: maxFrameBytes * 2,
      maxFragments: MIN_FRAGMENTS + Math.ceil(maxFrameBytes / FRAGMENT_BYTES),
      clientTracking: false,
    });
    const budget = new ReceiveBudget({
      clock: this.#options.clock,
      maxFrameBytes,
      ...(maxLargeMessages === undefined ? {} : { maxLarge: maxLargeMessages }),
    });
    return { served, sockets, budget };
  }

  /** Counts a new connection of an own server, and closes it if there are too many. @returns whether it is still open */
  acceptConnection(socket: Socket, isTls: boolean): boolean {
    if (!this.#limits.acceptConnection(socket, isTls)) return false;
    return this.#track(socket);
  }

  #track(socket: UpgradedSocket): boolean {
    if (this.#sockets.size >= this.#maxConnections && !this.#pending.evict()) {
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#pending.add(socket);
    return true;
  }

  /**
   * Answers a request for a file or route below the path.
   * @param next called if the request is for something else, or no GET or HEAD; without it, such requests below the path are refused
   * @returns whether the request is answered
   */
  handleRequest(request: IncomingMessage, response: ServerResponse, next?: () => void): boolean {
    const path = this.#relativePath(request);
    const answer = path === null ? null : this.#find(path);
    if (path === null || (next !== undefined && (answer === null || !isRead(request)))) {
      next?.();
      return false;
    }
    this.#answer(request, response, answer);
    return true;
  }

  /** Answers any request of an own server: those outside of the path with 404. */
  answerRequest(request: IncomingMessage, response: ServerResponse): void {
    const path = this.#relativePath(request);
    this.#answer(request, response, path === null ? null : this.#find(path));
  }

  /** Path below the endpoint's, from its slash on; '' for the path without its slash; null for any other path. */
  #relativePath(request: IncomingMessage): string | null {
    const path = addressOf(request).split(/[?#]/, 1)[0] ?? '';
    if (path.startsWith(this.path)) return path.slice(this.path.length - 1);
    return `${path}/` === this.path ? '' : null;
  }

  #find(path: string): Answer | null {
    if (path === '') return redirectToFolder;
    const answer = this.#options.routes(path);
    if (answer !== null) return answer;
    const file = this.#pageFile(path);
    const { allowedOrigins = [] } = this.#options;
    if (file === null || allowedOrigins.length === 0) return file;
    return (request, response) => {
      allowOrigin(request, response, allowedOrigins);
      file(request, response);
    };
  }

  /** Limits requests, sets the security headers, and answers. */
  #answer(request: IncomingMessage, response: ServerResponse, answer: Answer | null): void {
    if (!this.#limits.acceptRequest(request, response)) return;
    setSecurityHeaders(response);
    // Closes the connection, so that the body is not read.
    const refuse = (status: number, sentence: string, headers = {}): void => {
      response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close', ...headers });
      response.end(sentence);
    };
    if (!isRead(request)) {
      refuse(405, 'Only GET and HEAD are allowed.\n', { Allow: 'GET, HEAD' });
    } else if (request.headers.host === undefined) {
      refuse(400, 'The request needs a Host header.\n');
    } else if (hasBody(request)) {
      refuse(413, 'The request must not have a body.\n');
    } else if (answer === null) {
      response.statusCode = 404;
      response.end('Not found.\n');
    } else {
      answer(request, response);
    }
  }

  /**
   * Opens the WebSocket of a request below the path, or refuses it. Another upgrade is left to the program, unless this function is
   * itself the server's only listener: then the socket would stay open, and is refused. A function by itself.
   * @returns whether the request was handled
   */
  readonly handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): boolean => {
    const upgraded = socket as UpgradedSocket;
    if (this.#relativePath(request) === null) {
      const listeners = serverOf(socket)?.listeners('upgrade') ?? [];
      if (listeners.length !== 1 || listeners[0] !== this.handleUpgrade) return false;
      socket.on('error', () => socket.destroy());
      rejectUpgrade(socket, '404 Not Found');
      return true;
    }
    // HTTP's own listener is gone from here on, and a reset would end the process.
    socket.on('error', () => socket.destroy());
    if (!this.#sockets.has(socket) && !this.#track(upgraded)) return true;
    if (this.#limits.acceptUpgrade(upgraded)) this.#upgrade(request, upgraded, head);
    return true;
  };

  #upgrade(request: IncomingMessage, socket: UpgradedSocket, head: Buffer): void {
    const { clock, refusals, onRefused, optionName } = this.#options;
    const address = socket.remoteAddress ?? '';
    if (!isOriginAllowed(request, this.hostRule(request))) {
      onRefused?.(explainOriginRefusal(request, optionName));
      rejectUpgrade(socket, '403 Forbidden');
      return;
    }
    if (refusals?.isBlocked(address) === true) {
      rejectUpgrade(socket, '503 Service Unavailable');
      return;
    }
    const { served, sockets, budget } = this.#run;
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#webSockets.add(webSocket);
      webSocket.once('close', () => this.#webSockets.delete(webSocket));
      attachWebSocket(webSocket, socket, {
        clock,
        receiveBudget: budget,
        connect: served.connect,
        onAdmitted: () => this.#pending.admit(socket),
        onEnded: (isFault) => {
          if (isFault) refusals?.recordRefusal(address);
        },
      });
    });
  }

  /** Host names under which browsers may reach the server of a request. */
  hostRule({ socket }: Pick<IncomingMessage, 'socket'>): HostRule {
    const { hasToken, allowedOrigins } = this.#options;
    const isTls = (socket as { readonly encrypted?: boolean }).encrypted === true;
    const server = serverOf(socket);
    const host = server === undefined ? undefined : this.listensOn.get(server);
    return { host: host ?? '', allowsAnyHost: hasToken || isTls, allowedOrigins };
  }

  /** Closes every WebSocket, within a second. */
  close(): void {
    for (const webSocket of this.#webSockets) {
      webSocket.close(CloseCode.normal);
      setTimeout(() => webSocket.terminate(), CLOSE_GRACE_MS).unref();
    }
  }
}

/** Closes the connection of a client that came between two runs. The client may retry, so this is no fault of it. */
const rejectWithoutRun: ServedRun['connect'] = (connection) => {
  connection.close(CloseCode.noRun, NO_RUN);
  return { authenticated: false, onFrame: () => undefined, onClose: () => undefined };
};

const isRead = ({ method }: IncomingMessage): boolean => method === 'GET' || method === 'HEAD';

/** HTTP server that has accepted a connection. */
const serverOf = (socket: Duplex): Server | undefined => (socket as { readonly server?: Server }).server;

/** Path and query as the client asked for them: Express removes the path of a mounted handler from `url`. */
function addressOf(request: IncomingMessage & { readonly originalUrl?: unknown }): string {
  const { originalUrl, url = '' } = request;
  return typeof originalUrl === 'string' ? originalUrl : url;
}

/** Redirects to the path with its slash, relative to the request, since a proxy may have removed a prefix. */
const redirectToFolder: Answer = (request, response) => {
  const [path = '', query] = addressOf(request).split('?', 2);
  const folder = path.slice(path.lastIndexOf('/') + 1);
  response.writeHead(308, { Location: `${folder}/${query === undefined ? '' : `?${query}`}` }).end();
};

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Answers a refused upgrade, and does not wait for the client to close. */
function rejectUpgrade(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
