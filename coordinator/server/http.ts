import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Clock } from '../../shared/util/clock.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { BlockRateLimits } from './limits/block-rate-limiter.ts';
import { readDescriptorLimit, connectionLimitsFor } from './limits/connection-limits.ts';
import { ReceiveBudget } from './limits/receive-budget.ts';
import type { RefusalRateLimiter } from './limits/refusal-rate-limiter.ts';
import { HttpRateLimiter } from './limits/http-rate-limiter.ts';
import { isOriginAllowed, explainOriginRefusal } from './access.ts';
import { servePageFiles } from './page-files.ts';
import {
  PENDING_LIMITS,
  PendingConnectionLimiter,
  type PendingLimits,
} from './limits/pending-connections.ts';
import type { Routes } from './routes.ts';
import { attachWebSocket, CLOSE_GRACE_MS, type AttachOptions, type UpgradedSocket } from './websocket.ts';

export interface ServerOptions {
  readonly host: string;
  /** Port to listen on; 0 for any free port. */
  readonly port: number;
  /** Folder of the page for browsers. */
  readonly pageDir: string;
  /** Size of the largest frame that a client needs to send. */
  readonly maxFrameBytes: number;
  readonly connect: AttachOptions['connect'];
  /** Routes that take precedence over the page. */
  readonly routes: Routes;
  /** Certificate and key, both PEM; with them the server uses https and wss. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Whether workers need a token; if so, browsers may use any host name. */
  readonly hasToken?: boolean;
  /** Addresses with too many refusals. */
  readonly refusals?: Pick<RefusalRateLimiter, 'isBlocked' | 'recordRefusal'>;
  /** Receives the reason when a browser may not open a WebSocket. */
  readonly onRefused?: (sentence: string) => void;
  readonly clock: Clock;
  /** Limits on connections that are not admitted yet. @default PENDING_LIMITS, or half of all connections if that is less */
  readonly pending?: PendingLimits;
  /** Limits on connections and requests. @default those of HttpRateLimiter */
  readonly httpLimits?: BlockRateLimits;
  /** Number of large messages that are received at a time. @default that of ReceiveBudget */
  readonly maxLargeMessages?: number;
  /** Number of connections of all kinds. @default as many as the process's descriptors allow */
  readonly maxConnections?: number;
  /** Receives errors that the server survives, such as a connection that the system could not accept. */
  readonly onConnectionError?: (sentence: string) => void;
  /** Time limit for a TLS handshake. @default the limit for a request's headers */
  readonly handshakeMs?: number;
}

export interface RunningServer {
  readonly port: number;
  /** Closes every connection, within two seconds. */
  close(): Promise<void>;
}

/**
 * The page may load files from this server, compile WebAssembly and open WebSockets. No other page may frame it, so that no
 * other site can make its visitors compute.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "connect-src 'self' ws: wss:",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Time limits until a connection has its response or becomes a WebSocket, however slowly its data arrives. */
const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 2_000 };
/** Requests without a Host are answered here, so that they count; see createRequestListener. */
const HOST_HEADER = { requireHostHeader: false };

/** Number of fragments that any message may have. Each fragment takes memory beside its bytes. */
const MIN_FRAGMENTS = 1_024;
const FRAGMENT_BYTES = 4_096;

/**
 * Starts the server: HTTP for the page and WebSockets for workers, on one port.
 * @throws Error with a message for the user if the port cannot be opened
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { clock, handshakeMs = TIMEOUTS.headersTimeout } = options;
  const { maxConnections = connectionLimitsFor(readDescriptorLimit()).connections } = options;
  const half = Math.max(1, maxConnections >> 1);
  const pending = new PendingConnectionLimiter(
    options.pending ?? { ...PENDING_LIMITS, total: Math.min(PENDING_LIMITS.total, half) },
  );
  const limits = new HttpRateLimiter(clock, pending, options.httpLimits);
  const receiveBudget = new ReceiveBudget({
    clock,
    maxFrameBytes: options.maxFrameBytes,
    ...(options.maxLargeMessages === undefined ? {} : { maxLarge: options.maxLargeMessages }),
  });
  const onRequest = createRequestListener(options, limits);
  const http =
    options.tls === undefined
      ? createServer({ ...TIMEOUTS, ...HOST_HEADER }, onRequest)
      : createTlsServer(
          { ...TIMEOUTS, ...HOST_HEADER, ...options.tls, handshakeTimeout: handshakeMs },
          onRequest,
        );
  // Requests that Node would answer by itself count like the others.
  http.on('checkContinue', onRequest);
  http.on('checkExpectation', onRequest);
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // Pings count against a budget first; see attachWebSocket.
    autoPong: false,
    // A subprotocol that a client offers is ignored.
    handleProtocols: () => false,
    // More than our own limit, so that a slightly larger frame is refused with a reason and not only with code 1009.
    maxPayload: options.maxFrameBytes * 2,
    maxFragments: MIN_FRAGMENTS + Math.ceil(options.maxFrameBytes / FRAGMENT_BYTES),
  });
  // All sockets, with those that Node's HTTP server does not track: refused upgrades, and TLS before its handshake.
  const openSockets = new Set<Socket>();
  // Replaces HTTP's own listener, so that a refused connection costs no parser.
  const listeners = http.listeners('connection') as ((socket: Socket) => void)[];
  http.removeAllListeners('connection');
  http.on('connection', (socket: Socket) => {
    // A reset may arrive before any other listener is attached, and would end the process.
    socket.on('error', () => socket.destroy());
    if (!limits.acceptConnection(socket, options.tls !== undefined)) return;
    if (openSockets.size >= maxConnections && !pending.evict()) {
      socket.destroy();
      return;
    }
    openSockets.add(socket);
    socket.once('close', () => openSockets.delete(socket));
    pending.add(socket);
    for (const listener of listeners) listener.call(http, socket);
  });
  const allowsAnyHost = options.hasToken === true || options.tls !== undefined;
  http.on('upgrade', (request: IncomingMessage, socket: UpgradedSocket, head: Buffer) => {
    // HTTP's own listener is gone from here on, and a reset would end the process.
    socket.on('error', () => socket.destroy());
    const address = socket.remoteAddress ?? '';
    if (!limits.acceptUpgrade(socket)) return;
    if (!isOriginAllowed(request, { host: options.host, allowsAnyHost })) {
      options.onRefused?.(explainOriginRefusal(request));
      rejectUpgrade(socket, '403 Forbidden');
    } else if (options.refusals?.isBlocked(address) === true) {
      rejectUpgrade(socket, '503 Service Unavailable');
    } else {
      webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        attachWebSocket(webSocket, socket, {
          clock,
          receiveBudget,
          connect: options.connect,
          onAdmitted: () => pending.admit(socket),
          onEnded: (isFault) => {
            if (isFault) options.refusals?.recordRefusal(address);
          },
        }),
      );
    }
  });
  await listen(http, options.host, options.port);
  // A failed accept, for example for lack of memory, must not end the run.
  http.on('error', ({ message }) =>
    options.onConnectionError?.(`A connection could not be accepted: ${message}.`),
  );
  const { port } = http.address() as AddressInfo;
  return {
    port,
    async close() {
      for (const webSocket of webSockets.clients) webSocket.close(CloseCode.normal);
      const graceTimer = setTimeout(() => {
        for (const webSocket of webSockets.clients) webSocket.terminate();
        http.closeAllConnections();
        for (const socket of openSockets) socket.destroy();
      }, CLOSE_GRACE_MS);
      await new Promise<void>((resolve) => {
        webSockets.close();
        http.close(() => resolve());
        http.closeIdleConnections();
      });
      clearTimeout(graceTimer);
    },
  };
}

/** Listener that limits requests, sets the security headers, and answers from the routes or the page. */
function createRequestListener(
  { pageDir, routes }: Pick<ServerOptions, 'pageDir' | 'routes'>,
  limits: HttpRateLimiter,
): RequestListener {
  const page = servePageFiles(pageDir);
  return (request, response) => {
    if (!limits.acceptRequest(request, response)) return;
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    // Closes the connection, so that the body is not read.
    const refuse = (status: number, sentence: string, headers = {}): void => {
      response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close', ...headers });
      response.end(sentence);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      refuse(405, 'Only GET and HEAD are allowed.\n', { Allow: 'GET, HEAD' });
    } else if (request.headers.host === undefined) {
      refuse(400, 'The request needs a Host header.\n');
    } else if (hasBody(request)) {
      refuse(413, 'The request must not have a body.\n');
    } else {
      routes(request, response, () =>
        page(request, response, () => {
          response.statusCode = 404;
          response.end('Not found.\n');
        }),
      );
    }
  };
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Answers a refused upgrade, and does not wait for the client to close. */
function rejectUpgrade(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const failure = `Cannot listen on ${host}:${port}`;
      if (error.code === 'EADDRINUSE') {
        reject(
          new Error(`${failure}: the port is in use. Choose another with --port, or 0 for any free port.`),
        );
      } else if (error.code === 'EACCES') {
        reject(new Error(`${failure}: permission denied. Choose a --port above 1023.`));
      } else if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
        reject(new Error(`${failure}: this machine has no such address. Use --host 127.0.0.1 or 0.0.0.0.`));
      } else {
        reject(new Error(`${failure}: ${error.message}`));
      }
    };
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
