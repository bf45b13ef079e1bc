import { expect, it } from 'vitest';
import { RefusalRateLimiter } from '../../../../coordinator/server/limits/refusal-rate-limiter.ts';
import { manualClock } from '../../../support/manual-clock.ts';

it('an address that was refused thirty times is heard again at a slow pace, and others are not held up', () => {
  const clock = manualClock();
  const allowances = new RefusalRateLimiter(clock);
  for (let i = 0; i < 30; i++) {
    expect(allowances.isBlocked('192.168.1.20')).toBe(false);
    for (const address of ['192.168.1.20', '127.0.0.1', '::1']) allowances.recordRefusal(address);
  }
  expect(
    ['192.168.1.20', '192.168.1.21', '127.0.0.1', '::1'].filter((at) => allowances.isBlocked(at)),
  ).toEqual(['192.168.1.20']);
  clock.skip(2_000);
  expect(allowances.isBlocked('192.168.1.20')).toBe(false);
  allowances.recordRefusal('192.168.1.20');
  expect(allowances.isBlocked('192.168.1.20')).toBe(true);
});

const refusedTimes = (
  allowances: RefusalRateLimiter,
  addresses: readonly string[],
  times: number,
): number => {
  let heard = 0;
  for (let i = 0; i < times; i++) {
    const address = addresses[i % addresses.length] ?? '';
    if (allowances.isBlocked(address)) continue;
    heard++;
    allowances.recordRefusal(address);
  }
  return heard;
};

it.each([
  ['of one /64', (i: number) => `2001:db8:0:1::${i.toString(16)}`, 30],
  ['of one /48', (i: number) => `2001:db8:0:${i.toString(16)}::1`, 120],
  ['of one /24', (i: number) => `192.0.2.${i}`, 120],
  ['written as IPv6', (i: number) => `::ffff:192.0.2.${i % 2}`, 60],
  ['from everywhere', (i: number) => `${i + 11}.0.0.1`, 600],
])('a thousand guesses from forty addresses %s are heard so many times', (_, address, heard) => {
  const allowances = new RefusalRateLimiter(manualClock());
  const addresses = Array.from({ length: 40 }, (__, i) => address(i));
  expect(refusedTimes(allowances, addresses, 1_000)).toBe(heard);
  expect(allowances.isBlocked('198.51.100.1')).toBe(false);
});

it('what this machine gets wrong is not counted against others', () => {
  const allowances = new RefusalRateLimiter(manualClock());
  for (let i = 0; i < 2_000; i++) allowances.recordRefusal('127.0.0.1');
  allowances.recordRefusal('198.51.100.1');
  expect(allowances.isBlocked('198.51.100.1')).toBe(false);
});
