import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createCoordinator } from '../../coordinator/index.ts';

test('a handler that Express mounts redirects below its path', async () => {
  const coordinator = createCoordinator({ path: '/train' });
  const server = createServer((request, response) => {
    // As app.use('/train', coordinator.handleRequest) calls it.
    Object.assign(request, { originalUrl: request.url, url: '/' });
    coordinator.handleRequest(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { status, headers } = await fetch(`http://127.0.0.1:${port}/train`, { redirect: 'manual' });
  expect([status, headers.get('location')]).toEqual([308, 'train/']);
  await coordinator.close();
  server.close();
  server.closeAllConnections();
});
