import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { connectWebSocket } from '../../worker-node/connect.ts';

test('the reason that a stranger closes with moves no cursor', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket) => socket.close(4401, 'Wrong \u001b[2Jtoken\r\nAll is well.'));
  const { port } = server.address() as AddressInfo;
  const closed = await new Promise((resolve) => {
    const ignored = (): void => undefined;
    const onClose = (code: number, reason: string): void => resolve([code, reason]);
    connectWebSocket(`ws://127.0.0.1:${port}`, { onOpen: ignored, onFrame: ignored, onClose });
  });
  expect(closed).toEqual([4401, 'Wrong  [2Jtoken All is well.']);
  server.close();
});
