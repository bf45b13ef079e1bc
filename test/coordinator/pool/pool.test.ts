import { describe, expect, it } from 'vitest';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { encodeFrame } from '../../../shared/protocol/frame.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleJob, shardId, step } from '../../shared/protocol/examples.ts';
import { testPool } from './pool-harness.ts';

describe('a pool', () => {
  it('welcomes a worker with the job, and adds it once it is ready', async () => {
    const { pool, events, connect } = testPool();
    const client = connect();
    await client.hello();
    expect(client.messages('welcome')).toEqual([
      {
        type: 'welcome',
        protocol: 2,
        workerId: expect.any(String) as string,
        codec: 'float32',
        updates: false,
        heartbeatMs: 5000,
        maxFrameBytes: 2000,
        bucketOffsets: [0],
        job: exampleJob,
      },
    ]);
    expect(pool.workers.size).toBe(0);
    await client.say({ type: 'ready' });
    expect([...pool.workers.values()].map(({ name }) => name)).toEqual(['ann']);
    expect(events).toEqual(['joined ann']);
  });

  it('knows the machines of workers that name one, without invisible characters', async () => {
    const { pool, join } = testPool();
    for (const machine of ['lab 7\u200b', '\u200b', undefined]) {
      await join('ann', machine === undefined ? {} : { machine });
    }
    expect([...pool.workers.values()].map(({ machine }) => machine)).toEqual(['lab 7', undefined, undefined]);
  });

  it('assigns a unique id to every worker', async () => {
    const { pool, join } = testPool();
    await Promise.all([join('ann'), join('ann'), join('ann')]);
    expect(new Set(pool.workers.keys()).size).toBe(3);
  });

  it('closes a connection without a hello after ten seconds', async () => {
    const { pool, clock, events, connect } = testPool();
    const client = connect();
    await clock.advance(9_999);
    expect(client.closed).toBeNull();
    await clock.advance(1);
    expect(client.closed).toEqual({ code: CloseCode.timeout, reason: 'No hello within 10 s.' });
    expect(events).toEqual(['refused: No hello within 10 s.']);
    expect(pool.workers.size).toBe(0);
  });

  it('ignores all frames of a refused connection, including a correct hello', async () => {
    const { pool, events, clock } = testPool({ rules: { token: 'secret', maxWorkers: 10 } });
    const closed: number[] = [];
    const sent: Uint8Array[] = [];
    const connection = {
      bufferedBytes: 0,
      send: (frame: Uint8Array) => sent.push(frame),
      close: (code: number) => closed.push(code),
      terminate: () => undefined,
    };
    let owner: ConnectionHandler = pool.connect(connection, (accepted) => (owner = accepted));
    const hello = (token: string) =>
      encodeFrame({
        type: 'hello',
        protocol: 2,
        name: 'eve',
        token,
        engine: { backend: 'b', version: '1', device: 'd', threads: 1 },
        codecs: ['float32'],
      });
    for (const token of ['a', 'b', 'secret']) owner.onFrame(hello(token));
    await clock.advance(10_000);
    expect([closed, sent.length, events.length]).toEqual([[CloseCode.unauthorized], 0, 1]);
  });

  it('closes a refused connection with the code and the reason', async () => {
    const { connect, events } = testPool({ rules: { token: 'other', maxWorkers: 10 } });
    const client = connect();
    await client.hello();
    expect(client.closed?.code).toBe(CloseCode.unauthorized);
    expect(client.closed?.reason).toMatch(/^Wrong token\./);
    expect(events).toEqual([`refused: ${client.closed?.reason ?? ''}`]);
  });

  it('counts preparing workers as slots in use', async () => {
    const { connect } = testPool({ rules: { maxWorkers: 1 } });
    const first = connect();
    const second = connect();
    await first.hello();
    await second.hello();
    expect([first.closed, second.closed?.code]).toEqual([null, CloseCode.noFreeSlot]);
  });

  it.each([
    ['bytes that are no frame', Uint8Array.of(1, 2), CloseCode.malformed],
    ['a pong', encodeFrame({ type: 'pong', id: 1 }), CloseCode.unexpected],
    ['a hello of 64 KiB', new Uint8Array(65 << 10), CloseCode.tooLarge],
  ])('closes a connection that begins with %s', async (_, frame, code) => {
    const { connect, clock, pool } = testPool();
    const client = connect();
    client.end.send(frame);
    await settle();
    expect(client.closed?.code).toBe(code);
    pool.close('done');
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['an incomplete hello', { type: 'hello' }, CloseCode.malformed],
    ['a second ready', { type: 'ready' }, CloseCode.unexpected],
    ['a message of the coordinator', { type: 'ping', id: 1 }, CloseCode.malformed],
  ])('drops a worker that sends %s', async (_, message, code) => {
    const { join, pool, events } = testPool();
    const client = await join('ann');
    client.end.send(encodeFrame(message));
    await settle();
    expect(client.closed?.code).toBe(code);
    expect(pool.workers.size).toBe(0);
    expect(events).toHaveLength(2);
  });

  it('drops a worker that sends a second hello', async () => {
    const { join } = testPool();
    const client = await join('ann');
    await client.hello();
    expect(client.closed).toEqual({
      code: CloseCode.unexpected,
      reason: 'A hello after the welcome.',
    });
  });

  it('accepts a frame of the maximum size, and drops a worker that sends a larger one', async () => {
    const { join, events } = testPool();
    const client = await join('ann');
    const frame = (bytes: number): Uint8Array => {
      const empty = encodeFrame({ type: 'pong', id: 1 });
      return encodeFrame({ type: 'pong', id: 1 }, new Uint8Array(bytes - empty.length));
    };
    client.end.send(frame(2000));
    await settle();
    expect(client.closed).toBeNull();
    client.end.send(frame(2001));
    await settle();
    expect(client.closed?.code).toBe(CloseCode.tooLarge);
    expect(events.at(-1)).toBe('left ann: A frame of 2001 bytes is larger than the limit of 2000 bytes.');
  });

  it('removes a worker that sends leaving', async () => {
    const { join, pool, events } = testPool();
    const client = await join('ann');
    await client.say({ type: 'leaving', reason: 'lid closed' });
    expect(client.closed?.code).toBe(CloseCode.normal);
    expect(pool.workers.size).toBe(0);
    expect(events).toEqual(['joined ann', 'left ann: lid closed']);
  });

  it('reports once that a worker has left, with the reason or the code', async () => {
    const { join, events } = testPool();
    const ann = await join('ann');
    const bob = await join('bob');
    ann.end.close(1001, 'going away');
    bob.end.terminate();
    await settle();
    expect(events.slice(2)).toEqual(['left ann: going away', 'left bob: connection closed (1006)']);
  });

  it('reports a worker that leaves before it is ready as refused', async () => {
    const { connect, events } = testPool();
    const client = connect();
    await client.hello();
    client.end.close(4424, 'No such layer.');
    await settle();
    expect(events).toEqual(['refused: ann left before it was ready: No such layer.']);
  });

  it('passes on the answers of workers', async () => {
    const { join, events } = testPool();
    const client = await join('ann');
    await client.say({ type: 'failed', step: step(1), shard: shardId(1), reason: 'no memory' });
    expect(events.at(-1)).toBe('answered ann: failed');
  });

  it('closes a connection that answers before it is ready', async () => {
    const { connect, events } = testPool();
    const client = connect();
    await client.hello();
    await client.say({ type: 'failed', step: step(1), shard: shardId(1), reason: 'no memory' });
    expect(client.closed?.code).toBe(CloseCode.unexpected);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatch(/^refused: /);
  });

  it('names its protocol version to a worker of another version', async () => {
    const { connect } = testPool();
    const client = connect();
    client.end.send(encodeFrame({ type: 'hello', protocol: 1, device: {} }));
    await settle();
    expect(client.closed?.code).toBe(CloseCode.unsupported);
    expect(client.closed?.reason).toMatch(/^This coordinator uses protocol 2, the worker protocol 1\./);
  });

  it('reports no events after the end of a subscription', async () => {
    const { join, pool } = testPool();
    let events = 0;
    const count = (): void => void events++;
    const unsubscribe = pool.subscribe({ joined: count, left: count, answered: count, refused: count });
    await join('ann');
    unsubscribe();
    await join('bob');
    expect(events).toBe(1);
  });
});
