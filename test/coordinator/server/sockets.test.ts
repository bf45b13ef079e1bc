import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { selfSignedCertificate } from '../../../coordinator/server/tls.ts';
import { isOriginAllowed, explainOriginRefusal } from '../../../coordinator/server/access.ts';
import { systemClock } from '../../../shared/util/clock.ts';
import { startServer, type RunningServer, type ServerOptions } from '../../../coordinator/server/http.ts';

let server: RunningServer;
afterEach(() => server.close());

async function serve(options: Partial<ServerOptions> = {}): Promise<void> {
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    pageDir: 'dist/page',
    maxFrameBytes: 1_000_000,
    clock: systemClock(globalThis),
    routes: (_request, _response, next) => next(),
    connect: () => ({ onFrame: () => undefined, onClose: () => undefined }),
    ...options,
  });
}

const upgrade = (origin?: string): string =>
  [
    'GET / HTTP/1.1',
    `Host: 127.0.0.1:${server.port}`,
    ...['Connection: Upgrade', 'Upgrade: websocket'],
    ...['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'],
    ...(origin === undefined ? [] : [`Origin: ${origin}`]),
    '',
    '',
  ].join('\r\n');

const dial = (): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }, () =>
      resolve(socket),
    );
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  });

/** Whoever says something is let in, and hears it again. */
const answering: ServerOptions['connect'] = (connection) => ({
  onFrame: (frame) => connection.send(frame),
  onClose: () => undefined,
});

const firstLine = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    socket.once('data', (data) => resolve(data.toString().split('\r\n')[0] ?? ''));
    socket.once('end', () => resolve('closed'));
    socket.once('close', () => resolve('closed'));
  });

async function open(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}`);
  onTestFinished(() => socket.terminate());
  await new Promise((resolve) => socket.once('open', resolve));
  return socket;
}

describe('whoever is refused an upgrade', () => {
  it('cannot end the process by a reset', async () => {
    await serve();
    const errors: unknown[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    process.on('uncaughtException', onError);
    onTestFinished(() => void process.off('uncaughtException', onError));
    for (let i = 0; i < 50; i++) {
      const socket = await dial();
      await new Promise<void>((resolve) => socket.write(upgrade('http://evil.example'), () => resolve()));
      socket.resetAndDestroy();
    }
    const socket = await dial();
    socket.write(upgrade('http://evil.example'));
    expect(await firstLine(socket)).toBe('HTTP/1.1 403 Forbidden');
    expect(errors).toEqual([]);
  });

  it('is not waited for when the server closes', async () => {
    await serve();
    const socket = await dial();
    socket.write(upgrade('http://evil.example'));
    await firstLine(socket);
    await server.close();
  });
});

describe('somebody who never begins with TLS', () => {
  const serveTls = async (handshakeMs?: number): Promise<void> => {
    const cache = await mkdtemp(join(tmpdir(), 'gradcast-sockets-'));
    const tls = await selfSignedCertificate(cache, [], new Date());
    await serve({ tls, ...(handshakeMs === undefined ? {} : { handshakeMs }) });
    await rm(cache, { recursive: true });
  };

  it('is cut off when the time for it is over', async () => {
    await serveTls(50);
    const socket = await dial();
    expect(await firstLine(socket)).toBe('closed');
  });

  it('is not waited for when the server closes', async () => {
    await serveTls();
    await dial();
    await server.close();
  });
});

describe('connections', () => {
  it.each([
    ['in all', { perBlock: 100, total: 3 }],
    ['of one network', { perBlock: 3, total: 100 }],
  ])('are so many that are not admitted, %s: the oldest is closed for the next', async (_, pending) => {
    await serve({ pending, connect: answering });
    const admitted = await open();
    admitted.send(Uint8Array.of(1));
    await once(admitted, 'message');
    const idle = [await dial(), await dial(), await dial()];
    const closed = idle.map((socket) => firstLine(socket));
    const worker = await open();
    expect(await closed[0]).toBe('closed');
    worker.send(Uint8Array.of(1));
    await once(worker, 'message');
    // Its place is free again, so the others keep theirs.
    await dial();
    idle[1]?.write(upgrade());
    expect(await closed[1]).toBe('HTTP/1.1 101 Switching Protocols');
    expect(admitted.readyState).toBe(WebSocket.OPEN);
  });

  it('are so many of all kinds', async () => {
    await serve({
      maxConnections: 2,
      connect: answering,
    });
    for (let i = 0; i < 2; i++) {
      const worker = await open();
      worker.send(Uint8Array.of(1));
      await once(worker, 'message');
    }
    expect(await firstLine(await dial())).toBe('closed');
  });
});

it('whoever goes without having been let in uses up the allowance of the address', async () => {
  const now = { times: 0, welcomed: true, closed: (): void => undefined };
  await serve({
    allowances: { isBlocked: () => now.times > 1, recordRefusal: () => now.times++ },
    connect: () => ({
      onFrame: () => undefined,
      onClose: () => now.closed(),
      get authenticated() {
        return now.welcomed;
      },
    }),
  });
  const come = async (): Promise<number> => {
    const closed = new Promise<void>((resolve) => (now.closed = resolve));
    (await open()).close();
    await closed;
    return now.times;
  };
  expect([await come(), await come()]).toEqual([0, 0]);
  now.welcomed = false;
  expect([await come(), await come()]).toEqual([1, 2]);
  const socket = await dial();
  socket.write(upgrade());
  expect(await firstLine(socket)).toBe('HTTP/1.1 503 Service Unavailable');
});

it('what a client says when it goes is fit to be read', async () => {
  let said: (reason: string) => void = () => undefined;
  const reason = new Promise<string>((resolve) => (said = resolve));
  await serve({ connect: () => ({ onFrame: () => undefined, onClose: (_, why) => said(why) }) });
  const socket = await open();
  socket.close(3999, '\u001b[31mbye\r\n+ forged joined');
  expect(await reason).toBe(' [31mbye + forged joined');
});

describe('a browser', () => {
  const may = (name: string, origin: string | undefined, allowsAnyHost = false): boolean =>
    isOriginAllowed(
      { headers: { host: name, ...(origin === undefined ? {} : { origin }) } },
      { host: 'box', allowsAnyHost },
    );

  it('may connect from a page of this server, by a name that is its own', () => {
    const names = ['127.0.0.1:2718', '[::1]:2718', 'localhost:2718', 'box', `${hostname()}:2718`];
    for (const name of names) expect(may(name, `http://${name}`), name).toBe(true);
    expect(may('127.0.0.1:2718', 'http://evil.example')).toBe(false);
    expect(may('127.0.0.1:2718', 'http://127.0.0.1:8080')).toBe(false);
    expect(may('127.0.0.1:2718', 'null')).toBe(false);
  });

  it('is refused with a line that has both names, and what to do about it', async () => {
    const refused: string[] = [];
    await serve({ onRefused: (sentence) => refused.push(sentence) });
    const socket = await dial();
    socket.write(upgrade('https://lab.example.org'));
    expect(await firstLine(socket)).toBe('HTTP/1.1 403 Forbidden');
    const rebound = await dial();
    rebound.write(upgrade('http://rebound.example:1').replace(/Host: .*/, 'Host: rebound.example:1'));
    expect(await firstLine(rebound)).toBe('HTTP/1.1 403 Forbidden');
    expect(refused).toEqual([
      `A browser's page is from https://lab.example.org, but its request came for 127.0.0.1:${server.port}. ` +
        'Behind a reverse proxy, have the proxy pass the Host header on (docs/reverse-proxy.md).',
      'A browser calls this machine rebound.example:1, which is none of its names. With --token or --https, any name will do.',
    ]);
    const forged = explainOriginRefusal({ headers: { origin: '\u001b[31mred', host: 'x'.repeat(9_999) } });
    expect(forged).toContain('from  [31mred,');
    expect(forged.length).toBeLessThan(400);
  });

  it('may not by a name that somebody else leads here, unless a token or certificate keeps them out', () => {
    expect(may('rebound.example:2718', 'http://rebound.example:2718')).toBe(false);
    expect(may('rebound.example:2718', 'http://rebound.example:2718', true)).toBe(true);
    expect(may('rebound.example:2718', undefined)).toBe(true);
  });
});
