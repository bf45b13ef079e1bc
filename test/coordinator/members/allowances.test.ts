import { expect, it } from 'vitest';
import { Allowances } from '../../../coordinator/members/allowances.ts';
import { manualClock } from '../../support/manual-clock.ts';

it('an address that was refused thirty times is heard again at a slow pace, and others are not held up', () => {
  const clock = manualClock();
  const allowances = new Allowances(clock);
  for (let i = 0; i < 30; i++) {
    expect(allowances.isSpent('192.168.1.20')).toBe(false);
    for (const address of ['192.168.1.20', '127.0.0.1', '::1']) allowances.spend(address);
  }
  expect(['192.168.1.20', '192.168.1.21', '127.0.0.1', '::1'].filter((at) => allowances.isSpent(at))).toEqual(
    ['192.168.1.20'],
  );
  clock.skip(2_000);
  expect(allowances.isSpent('192.168.1.20')).toBe(false);
  allowances.spend('192.168.1.20');
  expect(allowances.isSpent('192.168.1.20')).toBe(true);
});
