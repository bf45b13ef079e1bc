import { describe, expect, it } from 'vitest';
import { ShardDeadline } from '../../../coordinator/training/shard-deadline.ts';

describe('the deadline of a shard', () => {
  it('is three minutes until anybody has answered', () => {
    expect(new ShardDeadline().afterMs).toBe(180_000);
  });

  it('is ten times the longest answer, half a minute at least', () => {
    const deadline = new ShardDeadline();
    deadline.answered(100);
    expect(deadline.afterMs).toBe(30_000);
    deadline.answered(8_000);
    expect(deadline.afterMs).toBe(80_000);
    deadline.answered(20_000);
    expect(deadline.afterMs).toBe(200_000);
  });

  it('forgets a slow answer after some hundred quick ones, not at once', () => {
    const deadline = new ShardDeadline();
    deadline.answered(60_000);
    deadline.answered(10);
    expect(deadline.afterMs).toBeGreaterThan(500_000);
    for (let i = 0; i < 100; i++) deadline.answered(10);
    expect(deadline.afterMs).toBe(30_000);
  });
});
