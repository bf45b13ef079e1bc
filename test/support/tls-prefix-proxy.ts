import { createServer } from 'node:https';
import { request, type IncomingMessage, type RequestOptions } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A reverse proxy that terminates TLS and strips a path prefix, like nginx with a path in its proxy_pass. */
export interface TlsPrefixProxy {
  readonly port: number;
  close(): void;
}

/**
 * @param prefix start of all paths, with a slash at both ends; the proxy strips it
 * @param toPort port of the server behind the proxy, which speaks plain HTTP
 */
export async function startTlsPrefixProxy(
  tls: { readonly cert: string; readonly key: string },
  prefix: string,
  toPort: number,
): Promise<TlsPrefixProxy> {
  const sockets = new Set<Socket>();
  const forwarded = ({ url = '', method, headers }: IncomingMessage): RequestOptions | null =>
    url.startsWith(prefix)
      ? { host: '127.0.0.1', port: toPort, path: `/${url.slice(prefix.length)}`, method, headers }
      : null;
  const server = createServer(tls, (incoming, outgoing) => {
    const options = forwarded(incoming);
    if (options === null) {
      outgoing.writeHead(404).end();
      return;
    }
    const asked = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    asked.on('error', () => outgoing.destroy());
    incoming.pipe(asked);
  });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (incoming: IncomingMessage, near: Socket) => {
    near.on('error', () => near.destroy());
    const options = forwarded(incoming);
    if (options === null) {
      near.destroy();
      return;
    }
    const asked = request(options);
    asked.on('error', () => near.destroy());
    asked.on('response', () => near.destroy());
    asked.on('upgrade', (answer, far) => {
      far.on('error', () => near.destroy());
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}`);
      near.write(['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n'));
      near.pipe(far).pipe(near);
    });
    asked.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    },
  };
}
