import { afterEach, describe, expect, it } from 'vitest';
import { meanOf, simulation } from './simulation.ts';

let current: ReturnType<typeof simulation> | null = null;
/** Simulation whose sums are checked after the test: every sample must count exactly once in every step. */
const simulate = () => (current = simulation());
afterEach(() => {
  for (const [at, sum] of current!.sums.entries()) expect(sum).toEqual(current!.trueSum(at));
});

describe('workers of equal speed', () => {
  it('get equal shares in every step although their times vary', async () => {
    const { join, run, sizesOf, sums } = simulate();
    const workers = [await join('ann'), await join('bob'), await join('cyd')];
    let random = 1;
    for (let i = 0; i < 60; i++) {
      for (const worker of workers) {
        random = (random * 48271) % 2147483647;
        worker.perSampleMs = 1 + 0.4 * (random / 2147483647 - 0.5);
      }
      await run(1);
    }
    expect(sums).toHaveLength(60);
    expect(new Set(sizesOf(workers[0]!, 60))).toEqual(new Set([42]));
    for (const worker of workers.slice(1)) expect(new Set(sizesOf(worker, 60))).toEqual(new Set([43]));
  });

  it('keep their shares during a short pause, while another worker computes the straggling shard', async () => {
    const { join, run, runStep, sizesOf } = simulate();
    const ann = await join('ann');
    const bob = await join('bob');
    expect((await run(10)).at(-1)).toBe(64);
    ann.frozen = true;
    // bob finishes after 64 ms; ann is a straggler after 148 ms; bob computes ann's shard in another 64 ms.
    expect(await runStep()).toBeLessThanOrEqual(214);
    ann.frozen = false;
    await run(5);
    for (const worker of [ann, bob]) expect(new Set(sizesOf(worker, 99))).toEqual(new Set([64]));
    expect(await runStep()).toBe(64);
  });
});

describe('workers of different speed', () => {
  it('get shares with which a step takes at most 1.15 times the ideal time', async () => {
    const { join, run } = simulate();
    for (const [i, perSampleMs] of [4, 2, 1].entries()) {
      await join(`w${i}`, { perSampleMs, device: `d${i}` });
    }
    const times = await run(30);
    expect(meanOf(times.slice(10))).toBeLessThan(1.15 * (128 / (1 / 4 + 1 / 2 + 1)));
  });

  it('do not wait for a worker that is ten times slower; it is told the reason and measured again', async () => {
    const { join, run } = simulate();
    for (const name of ['ann', 'bob', 'cyd', 'dan']) await join(name);
    const slow = await join('slow', { perSampleMs: 10, device: 'phone', hello: { standby: true } });
    const times = await run(150);
    expect(meanOf(times.slice(10))).toBeLessThan(1.05 * 32);
    expect(slow.client.messages('standby')).toMatchObject([
      {
        standby: true,
        reason:
          'Steps take 31 ms without this worker, which would need 260 ms for an equal share. It is measured again from time to time.',
      },
    ]);
    const probes = slow.shards.filter(({ step: at }) => at > 30);
    expect(probes.length).toBeGreaterThan(0);
    expect(probes.length).toBeLessThan(10);
  });

  it('put a worker with a slow link on standby and tell it about the link', async () => {
    const { join, run, pool } = simulate();
    for (const name of ['ann', 'bob', 'cyd', 'dan']) await join(name);
    const far = await join('far', { fixedMs: 500, device: 'far away', hello: { standby: true } });
    const worker = [...pool.workers.values()].find(({ name }) => name === 'far')!;
    for (let i = 0; i < 5; i++) worker.link.meter.recordDownload([{ bytes: 1e6, elapsedMs: 400 }]);
    const times = await run(40);
    expect(times.slice(-20).every((ms) => ms <= 34)).toBe(true);
    expect(worker.isStandby).toBe(true);
    expect(far.client.messages('standby').at(-1)).toMatchObject({
      standby: true,
      reason: expect.stringMatching(
        /without this worker, .* for an equal share \(slow connection: 20 Mb\/s down.* codecs float32\/float32\)\. It is measured again/,
      ) as string,
    });
  });

  it('assign a smaller share to a worker with a high fixed cost', async () => {
    const { join, run, sizesOf } = simulate();
    for (const name of ['ann', 'bob', 'cyd']) await join(name);
    const far = await join('far', { fixedMs: 20, device: 'far' });
    const times = await run(60);
    // Ideal shares: 37 samples for each near worker, 17 for the far one.
    expect(meanOf(times.slice(-20))).toBeLessThan(1.15 * 37);
    expect(sizesOf(far, 1)[0]).toBeLessThan(22);
  });

  it('adapt within twenty steps when one becomes five times slower, and fast again', async () => {
    const { join, run } = simulate();
    const workers = [];
    for (const name of ['ann', 'bob', 'cyd', 'dan']) workers.push(await join(name));
    await run(20);
    workers[2]!.perSampleMs = 5;
    const during = await run(20);
    const after = await run(20);
    expect(meanOf(after)).toBeLessThan(1.15 * (128 / 3.2));
    expect(Math.max(...during)).toBeLessThanOrEqual(5 * 32);
    expect(Math.max(...during.slice(12))).toBeLessThan(1.15 * (128 / 3.2));
    workers[2]!.perSampleMs = 1;
    await run(20);
    expect(meanOf(await run(20))).toBeLessThan(1.15 * 32);
  });

  it('activate a worker on standby that has become fast', async () => {
    const { join, run } = simulate();
    await join('ann');
    const slow = await join('slow', { perSampleMs: 100, device: 'phone', hello: { standby: true } });
    await run(100);
    expect(slow.client.messages('standby').map(({ standby }) => standby)).toEqual([true]);
    slow.perSampleMs = 1;
    const times = await run(120);
    expect(slow.client.messages('standby').map(({ standby }) => standby)).toEqual([true, false]);
    expect(meanOf(times.slice(-20))).toBeLessThan(1.15 * 64);
  });

  it('finish an evaluation together, without waiting for the last shards of a slow worker', async () => {
    const { join, evaluate } = simulate();
    for (const name of ['ann', 'bob', 'cyd']) await join(name);
    await join('slow', { perSampleMs: 10, device: 'phone' });
    // 10,000 samples by three workers of speed 1 and one of speed 0.1.
    expect(await evaluate()).toBeLessThan(1.3 * (10_000 / 3.1));
  });
});

describe('a worker that joins', () => {
  it('warms up on duplicates and then gets its share', async () => {
    const { join, run, sizesOf } = simulate();
    const ann = await join('ann');
    await run(10);
    const bob = await join('bob', { fixedMs: 3_000 });
    const warming = await run(5);
    bob.fixedMs = 0;
    expect(Math.max(...warming)).toBe(128);
    await run(40);
    expect([sizesOf(ann, 1), sizesOf(bob, 1)]).toEqual([[64], [64]]);
    expect(await run(1)).toEqual([64]);
  });
});

it('rejects a failure at a duplicate like one at any other shard', async () => {
  const { join, run } = simulate();
  await join('ann');
  await run(10);
  const { client } = await join('bob', { fixedMs: 3_000 });
  await run(1);
  const { step, shard } = client.messages('shard').at(-1)!;
  await client.say({ type: 'failed', step, shard, reason: 'no memory' });
  expect(client.messages('rejected')).toMatchObject([{ shard, code: 4424, reason: 'no memory' }]);
  await run(1);
});

describe('a worker that hangs forever', () => {
  it('doubles the time of a few steps and is dropped after the deadline', async () => {
    const { join, run, runStep, events, clock } = simulate();
    for (const name of ['ann', 'bob', 'cyd', 'dan']) await join(name);
    await run(20);
    current!.workers[2]!.frozen = true;
    expect(await runStep()).toBeLessThan(120);
    const times = await run(60);
    expect(Math.max(...times)).toBeLessThan(70);
    expect(meanOf(times.slice(-20))).toBeLessThan(45);
    const startedMs = clock.now();
    while (clock.now() - startedMs < 31_000) await runStep();
    expect(events).toContain('left cyd: A shard was not answered in time.');
  }, 60_000);
});
