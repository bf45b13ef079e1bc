import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { FromCoordinator, FromWorker } from '../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/frame.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { spawnWorker } from '../support/worker-process.ts';
import { trainObserved } from '../support/training-run.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 640, testCount: 64 });
const coordinator = await testCoordinator(dataset, {
  topology: tinyTopology([28, 28, 1], 10),
  token: 'secret',
  batchSize: 64,
  epochs: 2,
});
const worker = spawnWorker(coordinator.url, '--token', 'secret', '--name', 'ann');

afterAll(async () => {
  worker.kill('SIGTERM');
  await worker.ended;
});

/** Receives messages until the connection is closed. */
function watch(first: FromWorker): Promise<{ messages: FromCoordinator[]; code: number }> {
  const socket = new WebSocket(coordinator.url);
  const messages: FromCoordinator[] = [];
  socket.on('open', () => socket.send(frameFromWorker(first)));
  socket.on('message', (data: Buffer) => messages.push(parseFromCoordinator(data).message));
  return new Promise((resolve) => socket.on('close', (code) => resolve({ messages, code })));
}

test('an observer receives a whole run over a real socket, and one without the token is rejected', async () => {
  expect(await watch({ type: 'watch', protocol: 2 })).toMatchObject({ messages: [], code: 4401 });
  expect(await watch({ type: 'watch', protocol: 9, token: 'secret' })).toMatchObject({ code: 4426 });
  await waitForWorkersReady(coordinator, 1);
  const watching = watch({ type: 'watch', protocol: 2, token: 'secret' });
  await trainObserved(coordinator, dataset);
  await coordinator.close('The run is finished.');
  const { messages, code } = await watching;
  expect(code).toBe(1000);
  const of = (type: FromCoordinator['type']) => messages.filter((message) => message.type === type);
  expect(of('run')).toMatchObject([{ steps: 10 }]);
  expect(of('epoch')).toMatchObject([
    { record: { epoch: 1 } },
    { record: { epoch: 2, data: 'drawn-digits' } },
  ]);
  expect(messages.at(-1)).toEqual({ type: 'finished', reason: 'The run is finished.' });
  expect([...coordinator.pool.workers.values()]).toHaveLength(0);
});
