import { expect, test } from 'vitest';
import { checksum } from '../../../shared/protocol/checksum.ts';
import { testRunner } from './step-harness.ts';

/** A worker that keeps up to `room` samples, and has those of `bitmaps`. */
const join = async (room: number, bitmaps = new Uint8Array(2)) => {
  const runner = testRunner();
  const client = runner.connect();
  await client.hello({ name: 'ann', prefetch: false });
  await client.say({ type: 'ready', keeps: room }, bitmaps);
  return { ...runner, client };
};

test('a sample is sent once, and then only its number, with the checksum of the whole payload', async () => {
  const { client, gradient } = await join(8);
  await gradient(1);
  const [first] = client.messages('shard');
  const whole = client.received.at(-1)!.payload;
  expect(first).toMatchObject({ samples: 8, kept: new Uint8Array(0) });
  await client.answer();
  await gradient(2);
  const { payload, message } = client.received.at(-1)!;
  expect(message).toMatchObject({ samples: 8, kept: Uint8Array.of(255), checksum: checksum(whole) });
  // Eight numbers of four bytes.
  expect(payload).toEqual(whole.subarray(0, 32));
});

test('a worker that has some of the samples is sent the others', async () => {
  const { client, gradient } = await join(1, Uint8Array.of(0b1111_0000, 0));
  await gradient(1);
  // The batch has the samples 7 to 0.
  expect(client.messages('shard')).toMatchObject([{ kept: Uint8Array.of(0b0000_1111) }]);
  const { payload } = client.received.at(-1)!;
  const [images, labels] = [payload.subarray(32, 40), payload.subarray(40)];
  expect([...images]).toEqual([6, 7, 4, 5, 2, 3, 0, 1]);
  expect([...labels]).toEqual([1, 0, 1, 0]);
  await client.answer();
  await gradient(2);
  // There was room for sample 3.
  expect(client.messages('shard').at(-1)).toMatchObject({ kept: Uint8Array.of(0b0001_1111) });
});

test('a worker that has lost samples is sent the same shard with all of them, and keeps none any more', async () => {
  const { client, gradient } = await join(8);
  await gradient(1);
  const whole = client.received.at(-1)!.payload;
  await client.answer();
  const step = await gradient(2);
  const { shard, step: number } = client.messages('shard').at(-1)!;
  await client.say({ type: 'missing', step: number, shard });
  expect(client.messages('shard').at(-1)).toMatchObject({ shard, step: number });
  expect(client.messages('shard').at(-1)).not.toHaveProperty('kept');
  expect(client.received.at(-1)!.payload).toEqual(whole);
  await client.answer();
  expect(step.result).toMatchObject({ lossSum: 8 });
  await client.say({ type: 'missing', step: number, shard });
  expect(client.closed).toMatchObject({ code: 4409 });
});

test('a worker with two shards may have lost samples of both', async () => {
  const runner = testRunner(600);
  const ann = runner.connect();
  await ann.hello({ name: 'ann', prefetch: false });
  await ann.say({ type: 'ready', keeps: 0 }, new Uint8Array(150).fill(255));
  const evaluation = await runner.evaluate(1);
  const [first, second] = ann.messages('shard');
  expect(first!.kept!.length).toBeGreaterThan(0);
  for (const { shard, step } of [first!, second!]) await ann.say({ type: 'missing', step, shard });
  expect(ann.closed).toBeNull();
  expect(ann.messages('shard').slice(2)).toMatchObject([{ shard: first!.shard }, { shard: second!.shard }]);
  for (const { shard } of [first!, second!]) await ann.answer({ shard });
  while (evaluation.result === null) await ann.answer();
  expect(evaluation.result).toMatchObject({ lossSum: 600 });
});

test('a worker that has lost the samples of a shard which another worker has answered is idle again', async () => {
  const runner = testRunner();
  const [ann, bob] = [runner.connect(), runner.connect()];
  for (const [client, name] of [
    [ann, 'ann'],
    [bob, 'bob'],
  ] as const) {
    await client.hello({ name, prefetch: false });
    await client.say({ type: 'ready', keeps: 0 }, new Uint8Array(2).fill(255));
  }
  // Steps from which the time of a shard is known.
  for (let number = 1; number <= 4; number++) {
    await runner.gradient(number);
    await runner.clock.advance(10);
    await ann.answer();
    await bob.answer();
  }
  const before = [ann, bob].map((client) => client.messages('shard').length);
  const step = await runner.gradient(5);
  const { shard } = ann.messages('shard').at(-1)!;
  await bob.answer();
  // Ann is late: bob computes her samples too.
  for (let i = 0; i < 100 && bob.messages('shard').length < before[1]! + 2; i++)
    await runner.clock.advance(10);
  await bob.answer();
  expect(step.result).toMatchObject({ lossSum: 8 });
  await ann.say({ type: 'missing', step: ann.messages('shard').at(-1)!.step, shard });
  expect(ann.closed).toBeNull();
  await runner.gradient(6);
  expect(ann.messages('shard')).toHaveLength(before[0]! + 2);
});

test('bitmaps of another length are refused', async () => {
  const { client } = await join(8, new Uint8Array(1));
  expect(client.closed).toMatchObject({
    code: 4400,
    reason: 'The bitmaps of kept samples have 2 bytes; these have 1.',
  });
});
