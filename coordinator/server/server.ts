import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import sirv from 'sirv';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { closeReason, CloseCode } from '../../shared/protocol/close-code.ts';
import { readableText } from '../../shared/protocol/readable.ts';
import type { Connection } from '../../shared/transport.ts';
import type { Allowances } from '../members/allowances.ts';
import type { PoolConnection } from '../members/greetings.ts';
import { Strangers, type StrangerLimits } from './strangers.ts';
import type { Routes } from './routes.ts';
import { Arrival } from './arrival.ts';
import { mayConnect, whyRefused } from './origin.ts';
import { isLoopback } from './reachable.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Folder of the page that tabs open. */
  readonly pageDir: string;
  /** The largest frame that anybody has reason to send. */
  readonly maxFrameBytes: number;
  readonly connect: (connection: Connection) => PoolConnection;
  /** What is asked before the page is. */
  readonly routes: Routes;
  /** Serves https and wss with these, PEM both. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Whether workers need a token, which keeps out whoever calls this server by a name that is not its own. */
  readonly hasToken?: boolean;
  /** Of the addresses that have been refused. */
  readonly allowances?: Pick<Allowances, 'isSpent' | 'spend'>;
  /** Hears why a browser's page may not open a WebSocket. */
  readonly onRefused?: (sentence: string) => void;
  /** How many connections may wait to be let in, if not as many as Strangers says. */
  readonly strangers?: StrangerLimits;
  /** Open at once, of all kinds; MOST_CONNECTIONS without. */
  readonly mostConnections?: number;
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

/** Names of files that hold a hash of what is in them. */
const HASHED_NAME = /-[A-Z0-9]{8}\.[a-z]+$/;
const FOR_EVER = 'public, max-age=31536000, immutable';

/** A hello has less; whoever says more before it is let in is cut off. */
const STRANGER_BYTES = 128 << 10;
/** For all that comes before a connection is a WebSocket or has its answer, however slowly it comes. */
const PATIENCE = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 2_000 };

/** How long a peer has to answer a close before it is cut off. */
const CLOSE_GRACE_MS = 1_000;
/** Of all kinds at once: a thousand workers, as many observers, and pages that are being loaded. */
const MOST_CONNECTIONS = 4_096;

/**
 * HTTP for the page and WebSockets for workers, on one port.
 * @throws Error with a sentence if the port cannot be opened
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { mostConnections = MOST_CONNECTIONS, handshakeMs = PATIENCE.headersTimeout } = options;
  // 'dev' looks at the files anew for each request. Otherwise a file that went away during a run, as when gradcast is
  // updated, would end the whole process: sirv does not listen for errors of the stream that it opens.
  const page = sirv(options.pageDir, {
    dev: true,
    etag: true,
    brotli: true,
    gzip: true,
    setHeaders(response, pathname) {
      if (HASHED_NAME.test(pathname)) response.setHeader('Cache-Control', FOR_EVER);
    },
  });
  const answer: RequestListener = (request, response) => {
    // A range that ends before it starts makes sirv throw, and nobody needs ranges here.
    delete request.headers.range;
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD', 'Content-Type': 'text/plain' });
      response.end('Only GET and HEAD.\n');
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
      ? createServer(PATIENCE, answer)
      : createTlsServer({ ...PATIENCE, ...options.tls, handshakeTimeout: handshakeMs }, answer);
  const strangers = new Strangers(options.strangers);
  http.on('connection', (socket: Socket) => strangers.arrive(socket));
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // There is none; one that a client offers means nothing.
    handleProtocols: () => false,
    // Above our own limit, so that a frame somewhat too large is refused with a sentence and not only with 1009.
    maxPayload: options.maxFrameBytes * 2,
  });
  // What HTTP does not count among its own any more, or not yet: upgrades that were refused, and TLS without a handshake.
  const open = new Set<Socket>();
  http.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  http.maxConnections = mostConnections;
  const anyName = options.hasToken === true || options.tls !== undefined;
  http.on('upgrade', (request: IncomingMessage, socket: Carrier, head: Buffer) => {
    // Nobody else listens from here on: a reset would end the process.
    socket.on('error', () => socket.destroy());
    const address = socket.remoteAddress ?? '';
    if (!mayConnect(request, { host: options.host, anyName })) {
      options.onRefused?.(whyRefused(request));
      refuse(socket, '403 Forbidden');
    } else if (options.allowances?.isSpent(address) === true) refuse(socket, '503 Service Unavailable');
    else {
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const { welcomed } = attach(webSocket, socket, options.connect, () => strangers.letIn(socket));
        webSocket.on('close', () => {
          if (!welcomed()) options.allowances?.spend(address);
        });
      });
    }
  });
  await listen(http, options.host, options.port);
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

type Carrier = Duplex & Pick<Socket, 'remoteAddress' | 'remotePort'>;

/** Answers an upgrade that is not to be, and does not wait for the other side to close. */
function refuse(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/**
 * Connects one WebSocket with its owner.
 * @param letIn called when it has been let in
 * @returns whether it has
 */
function attach(
  webSocket: WebSocket,
  socket: Carrier,
  connect: ServerOptions['connect'],
  letIn: () => void,
): { readonly welcomed: () => boolean } {
  const arrivals = new Arrival();
  // Before the WebSocket's own listener, which says that a message is whole.
  let strangerBytes = 0;
  socket.prependListener('data', (chunk: Buffer) => {
    arrivals.came(chunk.length, performance.now());
    if (owner.welcomed !== false) return;
    strangerBytes += chunk.length;
    if (strangerBytes > STRANGER_BYTES) webSocket.terminate();
  });
  const connection: Connection = {
    sameMachine: isLoopback(socket.remoteAddress ?? ''),
    get arrival() {
      return arrivals.last;
    },
    send: (frame) => webSocket.send(frame),
    close(code, reason) {
      webSocket.close(code, reason);
      setTimeout(() => webSocket.terminate(), CLOSE_GRACE_MS).unref();
    },
    terminate: () => webSocket.terminate(),
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
  };
  const owner = connect(connection);
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    arrivals.whole();
    if (isBinary) {
      owner.onFrame(data as Buffer);
      if (owner.welcomed !== false) letIn();
    } else {
      connection.close(CloseCode.malformed, closeReason('Messages are binary frames; this one was text.'));
    }
  });
  webSocket.on('close', (code, reason) => owner.onClose(code, readableText(reason.toString())));
  // Followed by 'close', which says it all.
  webSocket.on('error', () => undefined);
  return { welcomed: () => owner.welcomed !== false };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
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
    });
    server.listen(port, host, () => resolve());
  });
}
