import { expect, it } from 'vitest';
import { RefusalRateLimiter } from '../../../../coordinator/server/limits/refusal-rate-limiter.ts';
import { manualClock } from '../../../support/manual-clock.ts';

it('an address is blocked after thirty refusals, and free again after a while; other addresses are not affected', () => {
  const clock = manualClock();
  const limiter = new RefusalRateLimiter(clock);
  for (let i = 0; i < 30; i++) {
    expect(limiter.isBlocked('192.168.1.20')).toBe(false);
    for (const address of ['192.168.1.20', '127.0.0.1', '::1']) limiter.recordRefusal(address);
  }
  expect(['192.168.1.20', '192.168.1.21', '127.0.0.1', '::1'].filter((at) => limiter.isBlocked(at))).toEqual([
    '192.168.1.20',
  ]);
  clock.skip(2_000);
  expect(limiter.isBlocked('192.168.1.20')).toBe(false);
  limiter.recordRefusal('192.168.1.20');
  expect(limiter.isBlocked('192.168.1.20')).toBe(true);
});

const countRefusals = (limiter: RefusalRateLimiter, addresses: readonly string[], times: number): number => {
  let refusals = 0;
  for (let i = 0; i < times; i++) {
    const address = addresses[i % addresses.length] ?? '';
    if (limiter.isBlocked(address)) continue;
    refusals++;
    limiter.recordRefusal(address);
  }
  return refusals;
};

it.each([
  ['of one /64', (i: number) => `2001:db8:0:1::${i.toString(16)}`, 30],
  ['of one /48', (i: number) => `2001:db8:0:${i.toString(16)}::1`, 120],
  ['of one /24', (i: number) => `192.0.2.${i}`, 120],
  ['written as IPv6', (i: number) => `::ffff:192.0.2.${i % 2}`, 60],
  ['from everywhere', (i: number) => `${i + 11}.0.0.1`, 600],
])('of a thousand guesses from forty addresses %s, only some are answered', (_, address, answered) => {
  const limiter = new RefusalRateLimiter(manualClock());
  const addresses = Array.from({ length: 40 }, (__, i) => address(i));
  expect(countRefusals(limiter, addresses, 1_000)).toBe(answered);
  expect(limiter.isBlocked('198.51.100.1')).toBe(false);
});

it('refusals of this machine do not count', () => {
  const limiter = new RefusalRateLimiter(manualClock());
  for (let i = 0; i < 2_000; i++) limiter.recordRefusal('127.0.0.1');
  limiter.recordRefusal('198.51.100.1');
  expect(limiter.isBlocked('198.51.100.1')).toBe(false);
});
