import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Clock } from '../../shared/util/clock.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import type { BlockRateLimits } from './limits/block-rate-limiter.ts';
import { readDescriptorLimit, connectionLimitsFor } from './limits/connection-limits.ts';
import { ReceiveBudget } from './limits/receive-budget.ts';
import type { RefusalRateLimiter } from './limits/refusal-rate-limiter.ts';
import type { ConnectionHandler } from '../pool/handshake.ts';
import { HttpRateLimiter } from './limits/http-rate-limiter.ts';
import { isOriginAllowed, explainOriginRefusal } from './access.ts';
import { servePageFiles } from './page-files.ts';
import {
  PENDING_LIMITS,
  PendingConnectionLimiter,
  type PendingLimits,
} from './limits/pending-connections.ts';
import type { Routes } from './routes.ts';
import { attachWebSocket, CLOSE_GRACE_MS, type UpgradedSocket } from './websocket.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Folder of the page that tabs open. */
  readonly pageDir: string;
  /** The largest frame that anybody has reason to send. */
  readonly maxFrameBytes: number;
  readonly connect: (connection: Connection) => ConnectionHandler;
  /** What is asked before the page is. */
  readonly routes: Routes;
  /** Serves https and wss with these, PEM both. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Whether workers need a token, which keeps out whoever calls this server by a name that is not its own. */
  readonly hasToken?: boolean;
  /** Of the addresses that have been refused. */
  readonly allowances?: Pick<RefusalRateLimiter, 'isBlocked' | 'recordRefusal'>;
  /** Hears why a browser's page may not open a WebSocket. */
  readonly onRefused?: (sentence: string) => void;
  readonly clock: Clock;
  /** Connections that are not admitted yet. @default PENDING_LIMITS, or half of all connections if that is less */
  readonly pending?: PendingLimits;
  /** What connections and requests may cost; see HttpLimits. */
  readonly httpLimits?: BlockRateLimits;
  /** Large messages that may be incomplete at once; see ReceiveBudget. */
  readonly maxLargeMessages?: number;
  /** Open at once, of all kinds. @default what the process's descriptors allow */
  readonly maxConnections?: number;
  /** Hears of trouble that the server survives, such as a connection that the system could not accept. */
  readonly onConnectionError?: (sentence: string) => void;
  /** How long a connection may take for TLS before it is cut off; as long as for a request's headers without. */
  readonly handshakeMs?: number;
}

export interface RunningServer {
  readonly port: number;
  /** Closes every connection, within two seconds. */
  close(): Promise<void>;
}

/**
 * What the page may do: load from here, compile WebAssembly, open WebSockets; nobody may frame it, so that no other
 * site makes its visitors compute.
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

/** For all that comes before a connection is a WebSocket or has its answer, however slowly it comes. */
const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 2_000 };
/** Answered here, not by Node; see answer. */
const HOST_HEADER = { requireHostHeader: false };

/** Pieces that a message may come in. Each takes memory of its own, beside its bytes. */
const MIN_FRAGMENTS = 1_024;
const FRAGMENT_BYTES = 4_096;

/**
 * HTTP for the page and WebSockets for workers, on one port.
 * @throws Error with a sentence if the port cannot be opened
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
  const page = servePageFiles(options.pageDir);
  const answer: RequestListener = (request, response) => {
    if (!limits.acceptRequest(request, response)) return;
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    // The connection is closed, so that a body is not read to its end.
    const refuseRequest = (status: number, sentence: string, headers = {}): void => {
      response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close', ...headers });
      response.end(sentence);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      refuseRequest(405, 'Only GET and HEAD.\n', { Allow: 'GET, HEAD' });
      return;
    }
    if (request.headers.host === undefined) {
      refuseRequest(400, 'A request needs a Host.\n');
      return;
    }
    if (hasBody(request)) {
      refuseRequest(413, 'A request has no body here.\n');
      return;
    }
    options.routes(request, response, () =>
      page(request, response, () => {
        response.statusCode = 404;
        response.end('Not found.\n');
      }),
    );
  };
  const http =
    options.tls === undefined
      ? createServer({ ...TIMEOUTS, ...HOST_HEADER }, answer)
      : createTlsServer(
          { ...TIMEOUTS, ...HOST_HEADER, ...options.tls, handshakeTimeout: handshakeMs },
          answer,
        );
  // What Node would answer by itself is counted like the others.
  http.on('checkContinue', answer);
  http.on('checkExpectation', answer);
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // They are counted first; see attach.
    autoPong: false,
    // There is none; one that a client offers means nothing.
    handleProtocols: () => false,
    // Above our own limit, so that a frame somewhat too large is refused with a sentence and not only with 1009.
    maxPayload: options.maxFrameBytes * 2,
    maxFragments: MIN_FRAGMENTS + Math.ceil(options.maxFrameBytes / FRAGMENT_BYTES),
  });
  // What HTTP does not count among its own any more, or not yet: upgrades that were refused, and TLS without a handshake.
  const open = new Set<Socket>();
  // In place of HTTP's own listener: what is closed at once should not cost a parser first.
  const listeners = http.listeners('connection') as ((socket: Socket) => void)[];
  http.removeAllListeners('connection');
  http.on('connection', (socket: Socket) => {
    // A reset may come before anything else listens.
    socket.on('error', () => socket.destroy());
    if (!limits.acceptConnection(socket, options.tls !== undefined)) return;
    if (open.size >= maxConnections && !pending.evict()) {
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    pending.add(socket);
    for (const listener of listeners) listener.call(http, socket);
  });
  const allowsAnyHost = options.hasToken === true || options.tls !== undefined;
  http.on('upgrade', (request: IncomingMessage, socket: UpgradedSocket, head: Buffer) => {
    // Nobody else listens from here on: a reset would end the process.
    socket.on('error', () => socket.destroy());
    const address = socket.remoteAddress ?? '';
    if (!limits.acceptUpgrade(socket)) return;
    if (!isOriginAllowed(request, { host: options.host, allowsAnyHost })) {
      options.onRefused?.(explainOriginRefusal(request));
      rejectUpgrade(socket, '403 Forbidden');
    } else if (options.allowances?.isBlocked(address) === true)
      rejectUpgrade(socket, '503 Service Unavailable');
    else {
      sockets.handleUpgrade(request, socket, head, (webSocket) =>
        attachWebSocket(webSocket, socket, {
          clock,
          receiveBudget,
          connect: options.connect,
          onAdmitted: () => pending.admit(socket),
          onEnded: (fault) => {
            if (fault) options.allowances?.recordRefusal(address);
          },
        }),
      );
    }
  });
  await listen(http, options.host, options.port);
  // An accept that fails, as for want of memory, must not end the run.
  http.on('error', ({ message }) =>
    options.onConnectionError?.(`A connection could not be accepted: ${message}.`),
  );
  const { port } = http.address() as AddressInfo;
  return {
    port,
    async close() {
      for (const webSocket of sockets.clients) webSocket.close(CloseCode.normal);
      const cutOff = setTimeout(() => {
        for (const webSocket of sockets.clients) webSocket.terminate();
        http.closeAllConnections();
        for (const socket of open) socket.destroy();
      }, CLOSE_GRACE_MS);
      await new Promise<void>((resolve) => {
        sockets.close();
        http.close(() => resolve());
        http.closeIdleConnections();
      });
      clearTimeout(cutOff);
    },
  };
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Answers an upgrade that is not to be, and does not wait for the other side to close. */
function rejectUpgrade(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const what = `Cannot listen on ${host}:${port}`;
      if (error.code === 'EADDRINUSE') {
        reject(
          new Error(`${what}: the port is in use. Choose another with --port, or 0 for any that is free.`),
        );
      } else if (error.code === 'EACCES') {
        reject(new Error(`${what}: not permitted. Choose a --port above 1023.`));
      } else if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
        reject(new Error(`${what}: this machine has no such address. Use --host 127.0.0.1 or 0.0.0.0.`));
      } else {
        reject(new Error(`${what}: ${error.message}`));
      }
    };
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
