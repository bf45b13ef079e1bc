import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { roundingEngine } from '../support/rounding-engine.ts';
import { waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker } from '../support/training-run.ts';
import { attackedRun } from '../support/attacked-run.ts';

const { coordinator, expectStepCompletes, close } = await attackedRun();
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await expectStepCompletes();
});
afterAll(close);

/** Opens a bare TCP connection. */
function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(coordinator.port, '127.0.0.1', () => resolve(socket));
    sockets.push(socket);
    socket.once('error', reject);
    socket.on('error', () => undefined);
  });
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', () => resolve())));

/** Sends a request and returns the whole answer. */
async function answerOf(request: string): Promise<string> {
  const socket = await open();
  let answer = '';
  socket.on('data', (data: Buffer) => (answer += data.toString()));
  socket.write(request);
  await closed(socket);
  return answer;
}

test.each([
  ['/../package.json'],
  ['/../../etc/passwd'],
  ['/%2e%2e/package.json'],
  ['/..%2fpackage.json'],
  ['/%2e%2e%2f%2e%2e%2fetc%2fpasswd'],
  ['/..%5c..%5cpackage.json'],
  ['//etc/passwd'],
  ['/%00'],
  ['/%'],
])('no file outside the page is served: %s', async (path) => {
  const answer = await answerOf(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 (404|400)/);
  expect(answer).not.toContain('gradcast"');
  expect(answer).not.toContain('root:');
});

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('%s is answered with 405', async (method) => {
  for (const path of ['/', '/metrics', '/nothing']) {
    const answer = await answerOf(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 405/);
    expect(answer).toMatch(/Allow: GET, HEAD/i);
  }
});

test('a page of another origin cannot connect', async () => {
  const socket = new WebSocket(coordinator.url, { origin: 'https://elsewhere.example' });
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
  expect(error.message).toContain('403');
});

test('a client that sends much before it is authenticated is cut off long before its frame is complete', async () => {
  const socket = new WebSocket(coordinator.url, { perMessageDeflate: false });
  await new Promise((resolve) => socket.once('open', resolve));
  const ended = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  // Fragments of one frame that never ends. The WebSocket library would reject it at 194 KB, which are not sent.
  for (let sent = 0; sent < 176 << 10; sent += 16 << 10) {
    socket.send(Buffer.alloc(16 << 10), { binary: true, fin: false });
  }
  expect(await ended).toBe(1006);
});

test('an address has a limited number of pending connections, and authenticated ones do not count', async () => {
  const many = await Promise.all(Array.from({ length: 300 }, () => open()));
  const left = (): Socket[] => many.filter((socket) => !socket.destroyed);
  for (const socket of many) socket.resume();
  await expect.poll(() => left().length).toBe(256);
  // The server answers each remaining connection and closes it.
  const answers = left().map(async (socket) => {
    const answer = once(socket, 'data');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    return String((await answer)[0]).slice(0, 12);
  });
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['HTTP/1.1 200']));
  // Closed connections free their places at once.
  await Promise.all(many.map((socket) => (socket.destroy(), closed(socket))));
  const another = attachWorker(coordinator.url, 'another', roundingEngine());
  await waitForWorkersReady(coordinator, 2);
  another.leave();
  await another.ended;
});
