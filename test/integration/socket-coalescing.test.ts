import { readSamples } from '../../shared/data/dataset.ts';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { prepareJob } from '../../coordinator/model/model.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { shardBytes, writeShard } from '../../shared/data/shard.ts';
import {
  PROTOCOL_VERSION,
  type FromCoordinator,
  type FromWorker,
  type ShardId,
  type Step,
} from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/frame.ts';
import { spawnWorker } from '../support/worker-process.ts';

/** Samples for at least half a second of computation, which is long compared with a ping. */
const SAMPLES = 768;
const PINGS = 5;

test('a worker answers pings while it computes a long step', async () => {
  const dataset = syntheticDigits({ seed: 1, trainCount: SAMPLES, testCount: 1 });
  const { job, initialWeights } = await prepareJob(dataset, { batchSize: SAMPLES, epochs: 1, seed: 1 });
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  const worker = spawnWorker(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [socket] = (await once(server, 'connection')) as [WebSocket];

  const received: FromWorker['type'][] = [];
  const listeners: (() => void)[] = [];
  socket.on('message', (bytes: Buffer) => {
    received.push(parseFromWorker(bytes).message.type);
    for (const notify of listeners.splice(0)) notify();
  });
  const send = (message: FromCoordinator, payload?: Uint8Array): void =>
    socket.send(frameFromCoordinator(message, payload));
  const waitFor = async (type: FromWorker['type'], count = 1): Promise<void> => {
    while (received.filter((each) => each === type).length < count) {
      await new Promise<void>((resolve) => void listeners.push(resolve));
    }
  };

  await waitFor('hello');
  send({
    type: 'welcome',
    protocol: PROTOCOL_VERSION,
    workerId: 'w',
    codec: 'float32',
    heartbeatMs: 5000,
    maxFrameBytes: 1 << 30,
    bucketOffsets: [0],
    job,
  });
  await waitFor('ready');
  const step = 0 as Step;
  send({ type: 'weights', step, offset: 0 }, new Uint8Array(initialWeights.buffer));
  const samples = new Uint8Array(shardBytes(SAMPLES, job));
  const numbers = Uint32Array.from({ length: SAMPLES }, (_, i) => i);
  writeShard(samples, readSamples(dataset.train, numbers), job);
  send({ type: 'shard', task: 'train', step, shard: 1 as ShardId, samples: SAMPLES }, samples);
  // Sent one after the other: a worker that reads only between computations would answer at most one of them.
  for (let id = 1; id <= PINGS; id++) {
    send({ type: 'ping', id });
    await waitFor('pong', id);
  }
  await waitFor('gradient');
  expect(received.slice(0, 4)).toEqual(['hello', 'ready', 'pong', 'pong']);
  expect(received.slice(4).toSorted()).toEqual([
    'gradient',
    ...Array.from({ length: PINGS - 2 }, () => 'pong'),
  ]);
  send({ type: 'finished', reason: 'done' });
  expect(await worker.ended, worker.output()).toBe(0);
  server.close();
});
