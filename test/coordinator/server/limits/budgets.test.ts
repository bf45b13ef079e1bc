import { describe, expect, it } from 'vitest';
import { BlockRateLimiter } from '../../../../coordinator/server/limits/block-rate-limiter.ts';
import {
  ReceiveBudget,
  SMALL_BYTES,
  type Receiver,
} from '../../../../coordinator/server/limits/receive-budget.ts';
import { TokenBucket } from '../../../../coordinator/server/limits/token-bucket.ts';
import { manualClock } from '../../../support/manual-clock.ts';

const MB = 1 << 20;

describe('a token bucket', () => {
  it('spends its units, and refills up to its burst', () => {
    const bucket = new TokenBucket({ burst: 2, perSecond: 1 }, 0);
    expect([bucket.spend(0), bucket.spend(0), bucket.spend(0)]).toEqual([true, true, false]);
    expect([bucket.spend(1_000), bucket.spend(1_000)]).toEqual([true, false]);
    expect([bucket.spend(60_000, 2), bucket.spend(60_000)]).toEqual([true, false]);
  });

  it('keeps credited units up to a maximum', () => {
    const bucket = new TokenBucket({ burst: 1, perSecond: 0 }, 0);
    for (let i = 0; i < 10; i++) bucket.credit(2, 5);
    expect(bucket.spend(0, 6)).toBe(false);
    expect(bucket.spend(1_000, 5)).toBe(true);
  });

  it('can owe up to one burst', () => {
    const bucket = new TokenBucket({ burst: 10, perSecond: 1 }, 0);
    expect(bucket.charge(0, 10)).toBe(true);
    expect(bucket.charge(0, 1_000)).toBe(false);
    expect([bucket.spend(10_000), bucket.spend(11_000)]).toEqual([false, true]);
  });
});

describe('the rate limits of address blocks', () => {
  const limits = { perBlock: { burst: 2, perSecond: 1 }, total: { burst: 5, perSecond: 1 } };

  it('are separate: a block that exceeds its limit does not affect others', () => {
    const budget = new BlockRateLimiter(manualClock(), limits);
    const spent = Array.from({ length: 10 }, () => budget.spend('a'));
    expect(spent.filter(Boolean)).toHaveLength(2);
    expect([budget.spend('b'), budget.spend('b'), budget.spend('b')]).toEqual([true, true, false]);
  });

  it('include one for all blocks together', () => {
    const budget = new BlockRateLimiter(manualClock(), limits);
    const spent = Array.from({ length: 10 }, (_, i) => budget.spend(`block ${i}`));
    expect(spent.filter(Boolean)).toHaveLength(5);
  });

  it('are limited in number: other blocks share the total limit', () => {
    const clock = manualClock();
    const plenty = { burst: 1e6, perSecond: 1e6 };
    const budget = new BlockRateLimiter(clock, { perBlock: { burst: 1, perSecond: 1 }, total: plenty });
    for (let i = 0; i < 10_000; i++) budget.spend(`block ${i}`);
    expect([budget.spend('another'), budget.spend('another')]).toEqual([true, true]);
    // Full buckets are forgotten, so there is room for a new one.
    clock.skip(2_000);
    expect([budget.spend('one more'), budget.spend('one more')]).toEqual([true, false]);
  });
});

describe('the memory of incomplete messages', () => {
  const receiver = (events: string[], name: string): Receiver => ({
    pause: () => events.push(`pause ${name}`),
    resume: () => events.push(`resume ${name}`),
    expire: () => events.push(`expire ${name}`),
  });
  const createTwo = () => {
    const clock = manualClock();
    const budget = new ReceiveBudget({ clock, maxFrameBytes: MB, maxLarge: 1 });
    const events: string[] = [];
    const [first, second] = ['first', 'second'].map((name) => budget.open(receiver(events, name)));
    return { clock, events, first: first!, second: second! };
  };

  it('limits the number of large ones; the next is paused until one is complete', () => {
    const { events, first, second } = createTwo();
    first.setHeldBytes(SMALL_BYTES + 1);
    second.setHeldBytes(SMALL_BYTES);
    expect(events).toEqual([]);
    second.setHeldBytes(SMALL_BYTES + 1);
    first.setHeldBytes(MB);
    expect(events).toEqual(['pause second']);
    first.setHeldBytes(0);
    expect(events).toEqual(['pause second', 'resume second']);
  });

  it('is released by a message whose end is in the chunk that made it large: its connection is read on', () => {
    const { events, first, second } = createTwo();
    first.setHeldBytes(MB);
    second.setHeldBytes(SMALL_BYTES + 1);
    second.setHeldBytes(0);
    expect(events).toEqual(['pause second', 'resume second']);
    second.setHeldBytes(MB);
    expect(events.at(-1)).toBe('pause second');
  });

  it('is released by a closed connection, received or paused', () => {
    const { events, first, second } = createTwo();
    first.setHeldBytes(MB);
    second.setHeldBytes(MB);
    second.close();
    first.close();
    expect(events).toEqual(['pause second']);
  });

  it('is taken from a message that makes no progress, if another connection is paused', async () => {
    const { clock, events, first, second } = createTwo();
    first.setHeldBytes(100 << 10);
    await clock.advance(60_000);
    expect(events).toEqual([]);
    second.setHeldBytes(MB);
    for (let kib = 200; kib < 1_000; kib += 100) {
      first.setHeldBytes(kib << 10);
      await clock.advance(1_000);
    }
    expect(events).toEqual(['pause second']);
    await clock.advance(3_000);
    expect(events[1]).toBe('expire first');
    first.close();
    expect(events.at(-1)).toBe('resume second');
    const pending = clock.pending;
    await clock.advance(2_000);
    expect([pending, clock.pending]).toEqual([1, 0]);
  });

  it('is limited to 256 MiB for any frame size, or to eight messages', () => {
    for (const [maxFrameBytes, maxLarge] of [
      [4.8 * MB, 53],
      [256 * MB, 8],
    ] as const) {
      const budget = new ReceiveBudget({ clock: manualClock(), maxFrameBytes });
      const events: string[] = [];
      for (let i = 0; i < 200; i++) budget.open(receiver(events, String(i))).setHeldBytes(maxFrameBytes);
      expect(events).toHaveLength(200 - maxLarge);
    }
  });
});
