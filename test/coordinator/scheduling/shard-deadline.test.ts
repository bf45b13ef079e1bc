import { describe, expect, it } from 'vitest';
import { ShardDeadline } from '../../../coordinator/scheduling/shard-deadline.ts';

describe('the deadline of a shard', () => {
  it('is three minutes until anybody has answered', () => {
    expect(new ShardDeadline().timeoutMs).toBe(180_000);
  });

  it('is ten times the longest answer, half a minute at least', () => {
    const deadline = new ShardDeadline();
    deadline.record(100);
    expect(deadline.timeoutMs).toBe(30_000);
    deadline.record(8_000);
    expect(deadline.timeoutMs).toBe(80_000);
    deadline.record(20_000);
    expect(deadline.timeoutMs).toBe(200_000);
  });

  it('forgets a slow answer after some hundred quick ones, not at once', () => {
    const deadline = new ShardDeadline();
    deadline.record(60_000);
    deadline.record(10);
    expect(deadline.timeoutMs).toBeGreaterThan(500_000);
    for (let i = 0; i < 100; i++) deadline.record(10);
    expect(deadline.timeoutMs).toBe(30_000);
  });
});
