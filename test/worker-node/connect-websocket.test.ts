import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { selfSignedCertificate } from '../../coordinator/server/tls.ts';
import { RefusedError, runWorker } from '../../shared/worker/connection-loop.ts';
import { connectPinned, connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { stubEngine } from '../support/stub-engine.ts';
import { manualClock } from '../support/manual-clock.ts';

test.each<[string, string | undefined, RegExp]>([
  ['is not pinned', undefined, /self-signed certificate.*: set --fingerprint/],
  ['is not the one that is pinned', 'AA:BB', /has the fingerprint .*, not the one of --fingerprint/],
])('a worker does not retry if a self-signed certificate %s', async (_, fingerprint, sentence) => {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-connect-'));
  const { cert, key } = await selfSignedCertificate(folder, [], new Date());
  await rm(folder, { recursive: true });
  const https = createServer({ cert, key });
  const server = new WebSocketServer({ server: https });
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  const { port } = https.address() as AddressInfo;
  const waits: string[] = [];
  const worker = runWorker({
    url: `wss://127.0.0.1:${port}`,
    name: 'ann',
    engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }, 'ann'),
    connect: connectPinned(fingerprint),
    clock: manualClock(),
    random: () => 0,
    report: {
      joined: () => undefined,
      computed: () => undefined,
      note: () => undefined,
      waiting: (line) => void waits.push(line),
    },
    signal: new AbortController().signal,
  });
  await expect(worker).rejects.toThrow(sentence);
  await expect(worker).rejects.toBeInstanceOf(RefusedError);
  expect(waits).toEqual([]);
  server.close();
  https.close();
});

test('control characters in a close reason do not reach the terminal', async () => {
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
