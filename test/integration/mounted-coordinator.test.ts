import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createCoordinator } from '../../coordinator/index.ts';

/** A server of a program, which ends with the test. @returns its port */
async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** First message of a WebSocket, or the code with which it is closed, or the status with which it is refused. */
const answerOf = (url: string): Promise<unknown> =>
  new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.on('message', (data: Buffer) => {
      resolve(data.toString());
      socket.terminate();
    });
    socket.on('close', resolve);
    socket.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode));
    socket.on('error', () => undefined);
  });

test('a handler that Express mounts redirects below its path', async () => {
  const coordinator = createCoordinator({ path: '/train' });
  const server = createServer((request, response) => {
    // As app.use('/train', coordinator.handleRequest) calls it.
    Object.assign(request, { originalUrl: request.url, url: '/' });
    coordinator.handleRequest(request, response);
  });
  const port = await listen(server);
  const { status, headers } = await fetch(`http://127.0.0.1:${port}/train`, { redirect: 'manual' });
  expect([status, headers.get('location')]).toEqual([308, 'train/']);
  await coordinator.close();
});

test('a listener of the program can pass upgrades on that are not for the coordinator', async () => {
  const coordinator = createCoordinator({ path: '/train' });
  const own = new WebSocketServer({ noServer: true });
  own.on('connection', (socket) => socket.send('chat'));
  const server = createServer();
  const heads: Duplex[] = [];
  server.on('upgrade', (request, socket, head) => {
    heads.push(socket);
    if (!coordinator.handleUpgrade(request, socket, head))
      own.handleUpgrade(request, socket, head, (opened) => own.emit('connection', opened));
  });
  const address = `ws://127.0.0.1:${await listen(server)}`;
  expect(await answerOf(`${address}/chat`)).toBe('chat');
  expect(await answerOf(`${address}/train/`)).toBe(4503);
  expect(heads).toHaveLength(2);
  await coordinator.close();
});

test('a coordinator beside another listener leaves its upgrades alone, and alone refuses them', async () => {
  const coordinator = createCoordinator({ path: '/train' });
  const server = createServer();
  server.on('upgrade', coordinator.handleUpgrade);
  const address = `ws://127.0.0.1:${await listen(server)}`;
  expect(await answerOf(`${address}/chat`)).toBe(404);
  const own = new WebSocketServer({ server, path: '/chat' });
  own.on('connection', (socket) => socket.send('chat'));
  expect(await answerOf(`${address}/chat`)).toBe('chat');
  await coordinator.close();
});

test('a request of another method is for the program if it has a next handler, and else refused', async () => {
  const coordinator = createCoordinator();
  let passed = true;
  const server = createServer((request, response) => {
    if (!passed) coordinator.handleRequest(request, response);
    else coordinator.handleRequest(request, response, () => response.writeHead(201).end());
  });
  const address = `http://127.0.0.1:${await listen(server)}/health`;
  const status = async (method: string): Promise<number> => (await fetch(address, { method })).status;
  expect([await status('POST'), await status('GET'), await status('HEAD')]).toEqual([201, 200, 200]);
  passed = false;
  expect([await status('POST'), await status('GET')]).toEqual([405, 200]);
  await coordinator.close();
});
