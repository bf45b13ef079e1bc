import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { RunningServer } from '../../../coordinator/server/http.ts';
import { startTestServer, type TestServerOptions } from '../../support/test-server.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { Connection } from '../../../shared/protocol/transport.ts';
import { manualClock } from '../../support/manual-clock.ts';

let server: RunningServer;
afterEach(() => server.close());
const clock = manualClock();

async function serve(options: Partial<TestServerOptions> = {}): Promise<void> {
  server = await startTestServer({ clock, ...options });
}

const dial = (): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(server.port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  });

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', () => resolve())));

async function open(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}`, { perMessageDeflate: false });
  socket.on('error', () => undefined);
  onTestFinished(() => socket.terminate());
  await once(socket, 'open');
  return socket;
}

const closeCode = async (socket: WebSocket): Promise<unknown> => (await once(socket, 'close'))[0];

const GET = 'GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n';
/** The page's largest file. */
const largest = (): string => {
  const names = readdirSync('dist/page').filter((name) => !/\.(br|gz)$/.test(name));
  const bytes = (name: string): number => statSync(`dist/page/${name}`).size;
  return names.reduce((a, b) => (bytes(b) > bytes(a) ? b : a), 'index.html');
};

describe('requests', () => {
  it('sent ahead are limited to 16: one more closes the connection', async () => {
    await serve();
    const some = await dial();
    let answers = '';
    some.on('data', (data: Buffer) => (answers += data.toString()));
    some.write(GET.repeat(15) + GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    await closed(some);
    expect(answers.match(/HTTP\/1\.1 200/g)).toHaveLength(16);

    const many = await dial();
    let responses = 0;
    many.on('data', (data: Buffer) => (responses += data.toString().split('HTTP/1.1 200').length - 1));
    many.write(GET.repeat(1_300));
    await closed(many);
    expect(responses).toBeLessThanOrEqual(16);
    const after = await dial();
    after.write(GET);
    expect(String((await once(after, 'data'))[0])).toMatch(/^HTTP\/1\.1 200/);
  });

  it('of one network are limited by rate, and so are its connections', async () => {
    const budget = { burst: 10, perSecond: 1 };
    await serve({ httpLimits: { perBlock: budget, total: { burst: 100, perSecond: 100 } } });
    const socket = await dial();
    for (let i = 0; i < 9; i++) {
      socket.write(GET);
      expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200/);
    }
    socket.resume();
    socket.write(GET);
    await closed(socket);
    await closed((await dial()).resume());
    // The requests beyond the budget must be earned first.
    clock.skip(10_000);
    const later = await dial();
    later.write(GET);
    expect(String((await once(later, 'data'))[0])).toMatch(/^HTTP\/1\.1 200/);
  });

  it.each([
    ['without a Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['with a body', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello', 413],
    ['with a body of any length', 'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', 413],
    ['other than GET and HEAD', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n', 405],
  ])('%s are answered, and the connection is closed', async (_, text, status) => {
    await serve();
    const socket = await dial();
    let answer = '';
    socket.on('data', (data: Buffer) => (answer += data.toString()));
    socket.write(text);
    await closed(socket);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it('that Node would answer by itself count too', async () => {
    const budget = { burst: 10, perSecond: 0 };
    await serve({ httpLimits: { perBlock: budget, total: { burst: 100, perSecond: 0 } } });
    const socket = await dial();
    let answer = '';
    socket.on('data', (data: Buffer) => (answer += data.toString()));
    const expecting = 'GET /index.html HTTP/1.1\r\nHost: x\r\nExpect: something\r\n\r\n';
    for (let i = 0; i < 20; i++) socket.write(expecting);
    await closed(socket);
    expect(answer.split('HTTP/1.1 ').length - 1).toBeLessThanOrEqual(9);
  });

  it('are dropped if their response is not read', async () => {
    await serve();
    const socket = await dial();
    socket.pause();
    // More bytes than the system buffers for a connection.
    for (let i = 0; i < 16; i++) socket.write(GET.replace('index.html', largest()));
    await expect.poll(() => clock.pending).toBeGreaterThan(0);
    const ended = new Promise((resolve) => socket.once('close', resolve));
    await clock.advance(60_000);
    socket.resume();
    await ended;
    expect(clock.pending).toBe(0);
  });
});

describe('a WebSocket', () => {
  /** Admits the client at once and sends it a frame. */
  const admitAtOnce =
    (more: object = {}, onClose: (code: number, reason: string) => void = () => undefined) =>
    (connection: Connection) => {
      setImmediate(() => connection.send(Uint8Array.of(1)));
      return { onFrame: () => undefined, onClose, ...more };
    };

  it.each([
    ['messages', (socket: WebSocket) => socket.send(Uint8Array.of(1))],
    ['pings', (socket: WebSocket) => socket.ping()],
    ['pongs', (socket: WebSocket) => socket.pong()],
  ])('is closed if it sends %s without end', async (_, send) => {
    let received = 0;
    let reason = '';
    await serve({ connect: admitAtOnce({ onFrame: () => received++ }, (_code, why) => (reason = why)) });
    const socket = await open();
    const code = closeCode(socket);
    for (let i = 0; i < 500; i++) send(socket);
    expect(await code).toBe(CloseCode.tooManyMessages);
    expect(received).toBeLessThanOrEqual(60);
    expect(reason).toBe('Too many unrequested messages.');
  });

  it('is closed sooner if its headers take long to parse', async () => {
    let received = 0;
    await serve({ connect: admitAtOnce({ onFrame: () => received++ }) });
    const socket = await open();
    const code = closeCode(socket);
    const frame = Buffer.alloc(16 << 10);
    frame.writeUInt32LE(16_000);
    for (let i = 0; i < 10; i++) socket.send(frame);
    expect(await code).toBe(CloseCode.tooManyMessages);
    expect(received).toBe(1);
  });

  it('may send an answer to each frame that it receives', async () => {
    let received = 0;
    const all = new Promise<void>((resolve) => {
      void serve({
        connect: (connection) => ({
          onFrame: () => {
            if (++received === 500) resolve();
            connection.send(Uint8Array.of(1));
          },
          onClose: () => undefined,
          answersPerFrame: 1,
        }),
      }).then(async () => {
        const socket = await open();
        socket.on('message', () => socket.send(Uint8Array.of(1)));
        socket.send(Uint8Array.of(1));
      });
    });
    await all;
    expect(received).toBe(500);
  });

  it('is closed before a message is complete that is too large', async () => {
    await serve({ connect: admitAtOnce({ maxMessageBytes: 64 << 10 }) });
    const socket = await open();
    const code = closeCode(socket);
    for (let i = 0; i < 16; i++) socket.send(Buffer.alloc(32 << 10), { binary: true, fin: false });
    expect(await code).toBe(CloseCode.tooLarge);
  });

  it('blocks others by an incomplete message only while it makes progress', async () => {
    const received: number[] = [];
    await serve({
      maxLargeMessages: 1,
      connect: admitAtOnce({ onFrame: (frame: Uint8Array) => received.push(frame.length) }),
    });
    const hanging = await open();
    const code = closeCode(hanging);
    hanging.send(Buffer.alloc(200 << 10), { binary: true, fin: false });
    const before = clock.pending;
    const honest = await open();
    // The timer starts when the second connection is paused.
    honest.send(Buffer.alloc(512 << 10));
    await expect.poll(() => clock.pending).toBeGreaterThan(before);
    expect(received).toEqual([]);
    await clock.advance(4_000);
    expect(await code).toBe(CloseCode.timeout);
    await expect.poll(() => received).toEqual([512 << 10]);
  });
});

it('an aborted download leaves no descriptor open', async () => {
  await serve();
  const descriptors = (): number => readdirSync('/dev/fd').length;
  const before = descriptors();
  for (let i = 0; i < 200; i++) {
    const socket = await dial();
    socket.write(GET.replace('index.html', largest()));
    await once(socket, 'data');
    socket.destroy();
  }
  await expect.poll(descriptors).toBeLessThanOrEqual(before + 2);
});
