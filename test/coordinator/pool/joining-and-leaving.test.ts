import { describe, expect, it } from 'vitest';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { withChecksums } from '../../../shared/protocol/checksum.ts';
import { frameFromWorker } from '../../../shared/protocol/frame.ts';
import { exampleHello } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testRunner } from '../training/step-harness.ts';
import { testPool } from './pool-harness.ts';

/** Instances of two worker processes. */
const ANN = 'mNqYhBk3Zx0PtVcR7sWd1';
const BOB = 'Jf2LgTe8uQa5oXi9nHy4K';

describe('a worker that reconnects before its previous connection times out', () => {
  it('keeps its slot: the previous connection is closed first', async () => {
    const { join, pool, events } = testPool({ rules: { maxWorkers: 1 } });
    const previous = await join('ann', { instance: ANN });
    const reconnected = await join('ann', { instance: ANN });
    expect(previous.closed).toEqual({
      code: CloseCode.timeout,
      reason: 'The worker has reconnected.',
    });
    expect([reconnected.closed, pool.workers.size]).toEqual([null, 1]);
    expect(events).toEqual(['joined ann', 'left ann: The worker has reconnected.', 'joined ann']);
  });

  it('has its shard assigned again immediately', async () => {
    const { join, gradient } = testRunner();
    await join('ann', { instance: ANN });
    const bob = await join('bob', { instance: BOB });
    const round = await gradient();
    await bob.answer();
    const reconnected = await join('ann', { instance: ANN });
    for (const client of [bob, reconnected]) if (client.messages('shard').length > 0) await client.answer();
    if (round.result === null) await reconnected.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });

  it('is another worker without an instance, or with another instance', async () => {
    const { join, pool } = testPool();
    for (const hello of [{}, {}, { instance: ANN }, { instance: BOB }]) await join('ann', hello);
    expect(pool.workers.size).toBe(4);
  });

  it('is another worker if its instance is short enough to be guessed', async () => {
    const { join, pool } = testPool();
    for (let i = 0; i < 2; i++) await join('ann', { instance: 'short enough' });
    expect(pool.workers.size).toBe(2);
  });

  it('is identified by a digest, and its instance is not stored', async () => {
    const { join, pool } = testPool();
    await join('ann', { instance: ANN });
    const [{ instance } = { instance: null }] = pool.workers.values();
    expect(instance).toMatch(/^[\w+/]{43}=$/);
    expect(instance).not.toContain(ANN);
  });
});

describe('a worker of a run with checksums', () => {
  async function joining() {
    const test = testPool({ mode: { bucketOffsets: [0], hasChecksums: true } });
    const client = test.connect();
    await client.hello();
    return { ...test, client };
  }

  it('may leave without a checksum before its welcome arrives', async () => {
    const { client, events } = await joining();
    await client.say({ type: 'leaving', reason: 'asked to leave' });
    expect(client.closed).toEqual({ code: CloseCode.normal, reason: 'asked to leave' });
    expect(events).toEqual(['refused: ann left before it was ready: asked to leave']);
  });

  it('is dropped for any other frame without a checksum', async () => {
    const { client } = await joining();
    await client.say({ type: 'ready' });
    expect(client.closed?.code).toBe(CloseCode.checksumMismatch);
  });

  it('is dropped for a leaving without a checksum once it is ready', async () => {
    const { client, pool } = await joining();
    withChecksums(client.end).send(frameFromWorker({ type: 'ready' }));
    await settle();
    expect(pool.workers.size).toBe(1);
    await client.say({ type: 'leaving', reason: 'asked to leave' });
    expect(client.closed?.code).toBe(CloseCode.checksumMismatch);
  });
});

describe('workers that join at the same time', () => {
  it('are admitted at a limited rate, and refused with advice to retry', async () => {
    const { connect, clock, pool } = testPool({ rules: { maxWorkers: 400 } });
    const clients = Array.from({ length: 400 }, connect);
    for (const client of clients) client.end.send(frameFromWorker(exampleHello));
    await settle();
    expect(clients.filter(({ closed }) => closed === null)).toHaveLength(400);
    for (const client of clients) client.end.close(CloseCode.normal, 'gone');
    await settle();
    const next = connect();
    next.end.send(frameFromWorker(exampleHello));
    await settle();
    expect(next.closed).toEqual({
      code: CloseCode.noFreeSlot,
      reason: 'Too many workers join at the same time. Retry in a few seconds.',
    });
    await clock.advance(1_000);
    const later = Array.from({ length: 60 }, connect);
    for (const client of later) client.end.send(frameFromWorker(exampleHello));
    await settle();
    expect(later.filter(({ closed }) => closed === null)).toHaveLength(50);
    pool.close('done');
  });
});

describe('a worker that does not read its messages', () => {
  /** A worker whose connection has unsent bytes. */
  function slowReader() {
    const made = testRunner();
    const socket = { bufferedBytes: 0, sentBytes: 0, closed: null as string | null };
    const connection = {
      send: (frame: Uint8Array) => void (socket.sentBytes += frame.length),
      close: (_: number, reason: string) => {
        socket.closed = reason;
      },
      terminate: () => undefined,
      get bufferedBytes() {
        return socket.bufferedBytes;
      },
    };
    let owner: ConnectionHandler = made.pool.connect(connection, (accepted) => (owner = accepted));
    const say = (message: Parameters<typeof frameFromWorker>[0]) => owner.onFrame(frameFromWorker(message));
    say({ ...exampleHello, name: 'slow' });
    say({ type: 'ready' });
    return { ...made, socket, say };
  }

  it('is assigned no shard while another worker is active', async () => {
    const { socket, join, gradient } = slowReader();
    const ann = await join('ann');
    socket.bufferedBytes = 2 << 20;
    const sentBytes = socket.sentBytes;
    const round = await gradient(1);
    expect(socket.sentBytes).toBe(sentBytes);
    await ann.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
    socket.bufferedBytes = 0;
    await gradient(2);
    expect(socket.sentBytes).toBeGreaterThan(sentBytes);
  });

  it('is dropped after the timeout of a silent worker, although it sends messages', async () => {
    const { socket, clock, say } = slowReader();
    socket.bufferedBytes = 2 << 20;
    for (let s = 0; s < 60; s += 5) {
      await clock.advance(5_000);
      say({ type: 'pong', id: 1_000 });
    }
    expect(socket.closed).toBeNull();
    await clock.advance(10_000);
    expect(socket.closed).toBe('The worker does not read its messages.');
  });
});

it('a hundred accepted answers remove a strike', async () => {
  const { pool, join } = testPool();
  const client = await join('ann');
  const worker = [...pool.workers.values()][0]!;
  const reject = (): void =>
    pool.reject(worker, { step: step(4), shard: shardId(7) }, new ProtocolError(CloseCode.notFinite, 'NaN.'));
  for (let turn = 0; turn < 10; turn++) {
    reject();
    for (let accepted = 0; accepted < 100; accepted++) pool.recordAccepted(worker);
  }
  await settle();
  expect([client.closed, worker.health.strikes]).toEqual([null, 0]);
  for (let rejected = 0; rejected < 3; rejected++) reject();
  await settle();
  expect(client.closed?.code).toBe(CloseCode.notFinite);
});
