import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Endpoint } from './endpoint.ts';
import { CLOSE_GRACE_MS } from './websocket.ts';

export interface ServerOptions {
  readonly host: string;
  /** Port to listen on; 0 for any free port. */
  readonly port: number;
  /** Certificate and key, both PEM; with them the server uses https and wss. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
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

/** Time limits until a connection has its response or becomes a WebSocket, however slowly its data arrives. */
const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 2_000 };
/** Connections that the system keeps until they are accepted: those of workers that start at the same time. */
const BACKLOG = 4_096;
/** Requests without a Host are answered by the endpoint, so that they count. */
const HOST_HEADER = { requireHostHeader: false };

/**
 * Starts a server for an endpoint alone: HTTP for the page and WebSockets for workers, on one port.
 * @throws Error with a message for the user if the port cannot be opened
 */
export async function startServer(endpoint: Endpoint, options: ServerOptions): Promise<RunningServer> {
  const { host, port, tls, handshakeMs = TIMEOUTS.headersTimeout } = options;
  const onRequest = endpoint.answerRequest.bind(endpoint);
  const http =
    tls === undefined
      ? createServer({ ...TIMEOUTS, ...HOST_HEADER }, onRequest)
      : createTlsServer({ ...TIMEOUTS, ...HOST_HEADER, ...tls, handshakeTimeout: handshakeMs }, onRequest);
  // Requests that Node would answer by itself count like the others.
  http.on('checkContinue', onRequest);
  http.on('checkExpectation', onRequest);
  // All sockets, with those that Node's HTTP server does not track: refused upgrades, and TLS before its handshake.
  const openSockets = new Set<Socket>();
  // Replaces HTTP's own listener, so that a refused connection costs no parser.
  const listeners = http.listeners('connection') as ((socket: Socket) => void)[];
  http.removeAllListeners('connection');
  http.on('connection', (socket: Socket) => {
    // A reset may arrive before any other listener is attached, and would end the process.
    socket.on('error', () => socket.destroy());
    if (!endpoint.acceptConnection(socket, tls !== undefined)) return;
    openSockets.add(socket);
    socket.once('close', () => openSockets.delete(socket));
    for (const listener of listeners) listener.call(http, socket);
  });
  http.on('upgrade', endpoint.handleUpgrade);
  endpoint.listensOn.set(http, host);
  await listen(http, host, port);
  // A failed accept, for example for lack of memory, must not end the run.
  http.on('error', ({ message }) =>
    options.onConnectionError?.(`A connection could not be accepted: ${message}.`),
  );
  return {
    port: (http.address() as AddressInfo).port,
    async close() {
      const graceTimer = setTimeout(() => {
        http.closeAllConnections();
        for (const socket of openSockets) socket.destroy();
      }, CLOSE_GRACE_MS);
      await new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeIdleConnections();
      });
      clearTimeout(graceTimer);
    },
  };
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
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
