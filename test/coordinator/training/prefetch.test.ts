import { describe, expect, it } from 'vitest';
import { testRunner } from './step-harness.ts';

describe("the next step's samples", () => {
  it('are sent while this one is computed, and the next shard does not repeat them', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    await gradient(1, true);
    expect(ann.types.slice(1)).toEqual(['weights', 'shard', 'prefetch']);
    await ann.answer();
    await bob.answer();
    await gradient(2);
    expect(ann.types.slice(4)).toEqual(['weights', 'shard']);
    const [, , first, prefetched, , second] = ann.received;
    expect(second!.payload).toHaveLength(0);
    expect([...prefetched!.payload]).toEqual([...first!.payload]);
    await ann.answer();
  });

  it('are not sent to a worker without prefetch', async () => {
    const { join, gradient } = testRunner();
    const ann = await join('ann', { prefetch: false });
    await gradient(1, true);
    await ann.answer();
    await gradient(2);
    expect(ann.types.slice(1)).toEqual(['weights', 'shard', 'weights', 'shard']);
    expect(ann.received.at(-1)!.payload).toHaveLength(56);
  });

  it('are sent with the shard if a worker has joined and the partition has changed', async () => {
    const { join, gradient } = testRunner();
    const ann = await join('ann');
    await gradient(1, true);
    await ann.answer();
    const bob = await join('bob');
    await gradient(2);
    // Of 8 samples, 7 payload bytes each.
    expect(ann.received.at(-1)!.payload).toHaveLength(28);
    expect(bob.received.at(-1)!.payload).toHaveLength(28);
  });

  it('are sent with a shard that is assigned a second time', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    await gradient(1, true);
    await ann.answer();
    await bob.answer();
    const second = await gradient(2);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await bob.answer();
    for (const { payload } of bob.received.slice(-1)) expect(payload.length).toBeGreaterThan(0);
    while (second.result === null) await bob.answer();
    expect(second.result).toMatchObject({ metrics: [expect.any(Number) as number] });
  });
});
