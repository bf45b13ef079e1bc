import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { selfSignedCertificate } from '../../../coordinator/server/tls.ts';
import { isOriginAllowed, explainOriginRefusal } from '../../../coordinator/server/access.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { RunningServer } from '../../../coordinator/server/http.ts';
import { startTestServer, type TestServerOptions } from '../../support/test-server.ts';

let server: RunningServer;
afterEach(() => server.close());

async function serve(options: Partial<TestServerOptions> = {}): Promise<void> {
  server = await startTestServer({ maxFrameBytes: 1_000_000, ...options });
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

/** Admits a client on its first frame, and echoes all frames. */
const echo: TestServerOptions['connect'] = (connection) => ({
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

describe('a client whose upgrade is refused', () => {
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

  it('does not delay the closing of the server', async () => {
    await serve();
    const socket = await dial();
    socket.write(upgrade('http://evil.example'));
    await firstLine(socket);
    await server.close();
  });
});

describe('a client that never starts a TLS handshake', () => {
  const serveTls = async (handshakeMs?: number): Promise<void> => {
    const cache = await mkdtemp(join(tmpdir(), 'gradcast-sockets-'));
    const tls = await selfSignedCertificate(cache, [], new Date());
    await serve({ tls, ...(handshakeMs === undefined ? {} : { handshakeMs }) });
    await rm(cache, { recursive: true });
  };

  it('is disconnected after the time limit', async () => {
    await serveTls(50);
    const socket = await dial();
    expect(await firstLine(socket)).toBe('closed');
  });

  it('does not delay the closing of the server', async () => {
    await serveTls();
    await dial();
    await server.close();
  });
});

describe('the number of connections', () => {
  it.each([
    ['in all', { perBlock: 100, total: 3 }],
    ['for each network', { perBlock: 3, total: 100 }],
  ])('is limited before admission, %s: a new connection replaces the oldest', async (_, pending) => {
    await serve({ pending, connect: echo });
    const admitted = await open();
    admitted.send(Uint8Array.of(1));
    await once(admitted, 'message');
    const idle = [await dial(), await dial(), await dial()];
    const closed = idle.map((socket) => firstLine(socket));
    const worker = await open();
    expect(await closed[0]).toBe('closed');
    worker.send(Uint8Array.of(1));
    await once(worker, 'message');
    // An admitted connection no longer counts, so the other pending ones stay.
    await dial();
    idle[1]?.write(upgrade());
    expect(await closed[1]).toBe('HTTP/1.1 101 Switching Protocols');
    expect(admitted.readyState).toBe(WebSocket.OPEN);
  });

  it('is limited in total', async () => {
    await serve({
      maxConnections: 2,
      connect: echo,
    });
    for (let i = 0; i < 2; i++) {
      const worker = await open();
      worker.send(Uint8Array.of(1));
      await once(worker, 'message');
    }
    expect(await firstLine(await dial())).toBe('closed');
  });
});

it('a handler that takes over receives the next frame, even of the same packet, with limits of its own', async () => {
  const received: string[] = [];
  let onClosed: (code: number) => void = () => undefined;
  const closed = new Promise<number>((resolve) => (onClosed = resolve));
  await serve({
    connect: (connection, onAccepted) => ({
      authenticated: false,
      onFrame() {
        received.push('first');
        onAccepted({
          onFrame() {
            received.push('next');
            connection.send(Uint8Array.of(1));
          },
          onClose: onClosed,
          maxMessageBytes: 1_000,
          answersPerFrame: 1,
        });
      },
      onClose: () => received.push('closed'),
    }),
  });
  const socket = await dial();
  socket.write(upgrade());
  expect(await firstLine(socket)).toBe('HTTP/1.1 101 Switching Protocols');
  // Masked binary frames of one byte: more than a client may send that is sent nothing.
  socket.write(Buffer.concat(Array.from({ length: 101 }, () => Buffer.of(0x82, 0x81, 0, 0, 0, 0, 1))));
  await expect.poll(() => received.length).toBe(101);
  // The beginning of a frame of a megabyte.
  socket.write(Buffer.concat([Buffer.of(0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0), Buffer.alloc(160 << 10)]));
  expect(await closed).toBe(CloseCode.tooLarge);
  expect(received).toEqual(['first', ...Array.from({ length: 100 }, () => 'next')]);
});

it('a client that leaves without admission counts as a refusal of its address', async () => {
  const state = { refusals: 0, admitted: true, closed: (): void => undefined };
  await serve({
    refusals: { isBlocked: () => state.refusals > 1, recordRefusal: () => state.refusals++ },
    connect: () => ({
      onFrame: () => undefined,
      onClose: () => state.closed(),
      get authenticated() {
        return state.admitted;
      },
    }),
  });
  const connectAndLeave = async (): Promise<number> => {
    const closed = new Promise<void>((resolve) => (state.closed = resolve));
    (await open()).close();
    await closed;
    return state.refusals;
  };
  expect([await connectAndLeave(), await connectAndLeave()]).toEqual([0, 0]);
  state.admitted = false;
  expect([await connectAndLeave(), await connectAndLeave()]).toEqual([1, 2]);
  const socket = await dial();
  socket.write(upgrade());
  expect(await firstLine(socket)).toBe('HTTP/1.1 503 Service Unavailable');
});

it('the close reason of a client is sanitized for a terminal', async () => {
  let onClosed: (reason: string) => void = () => undefined;
  const reason = new Promise<string>((resolve) => (onClosed = resolve));
  await serve({ connect: () => ({ onFrame: () => undefined, onClose: (_, why) => onClosed(why) }) });
  const socket = await open();
  socket.close(3999, '\u001b[31mbye\r\n+ forged joined');
  expect(await reason).toBe(' [31mbye + forged joined');
});

describe('a browser', () => {
  const isAllowed = (name: string, origin: string | undefined, allowsAnyHost = false): boolean =>
    isOriginAllowed(
      { headers: { host: name, ...(origin === undefined ? {} : { origin }) } },
      { host: 'box', allowsAnyHost },
    );

  it('may connect from a page of this server, under one of its own names', () => {
    const names = ['127.0.0.1:2718', '[::1]:2718', 'localhost:2718', 'box', `${hostname()}:2718`];
    for (const name of names) expect(isAllowed(name, `http://${name}`), name).toBe(true);
    expect(isAllowed('127.0.0.1:2718', 'http://evil.example')).toBe(false);
    expect(isAllowed('127.0.0.1:2718', 'http://127.0.0.1:8080')).toBe(false);
    expect(isAllowed('127.0.0.1:2718', 'null')).toBe(false);
  });

  it('is refused with a reason that has both names and a remedy', async () => {
    const refused: string[] = [];
    await serve({ onRefused: (sentence) => refused.push(sentence) });
    const socket = await dial();
    socket.write(upgrade('https://lab.example.org'));
    expect(await firstLine(socket)).toBe('HTTP/1.1 403 Forbidden');
    const rebound = await dial();
    rebound.write(upgrade('http://rebound.example:1').replace(/Host: .*/, 'Host: rebound.example:1'));
    expect(await firstLine(rebound)).toBe('HTTP/1.1 403 Forbidden');
    expect(refused).toEqual([
      `A browser was refused: its page is from https://lab.example.org, but its request is for 127.0.0.1:${server.port}. ` +
        'Configure your reverse proxy to forward the Host header (docs/reverse-proxy.md).',
      'A browser was refused: rebound.example:1 is not a name of this machine. Use --token or --https to accept any name.',
    ]);
    const forged = explainOriginRefusal({ headers: { origin: '\u001b[31mred', host: 'x'.repeat(9_999) } });
    expect(forged).toContain('from  [31mred,');
    expect(forged.length).toBeLessThan(400);
  });

  it('may not connect under another name that points here, unless there is a token or certificate', () => {
    expect(isAllowed('rebound.example:2718', 'http://rebound.example:2718')).toBe(false);
    expect(isAllowed('rebound.example:2718', 'http://rebound.example:2718', true)).toBe(true);
    expect(isAllowed('rebound.example:2718', undefined)).toBe(true);
  });
});
