import { expect, test } from 'vitest';
import { StandbyChanges } from '../../../shared/worker/standby-changes.ts';

test('a worker that changes all the time has one line a minute, which never repeats the last', () => {
  const changes = new StandbyChanges();
  const seconds: number[] = [];
  for (let second = 0; second < 300; second += 7) {
    if (changes.isNews('ann', (second / 7) % 2 === 0, second * 1_000)) seconds.push(second);
  }
  expect(seconds).toEqual([0, 63, 126, 189, 252]);
});

test('each worker has lines of its own, the first when it is put on standby, also after it has left', () => {
  const changes = new StandbyChanges();
  expect(changes.isNews('ann', false, 0)).toBe(false);
  expect(changes.isNews('ann', true, 0)).toBe(true);
  expect(changes.isNews('bob', true, 0)).toBe(true);
  changes.forget('ann');
  expect(changes.isNews('ann', true, 1_000)).toBe(true);
  expect(changes.isNews('bob', true, 90_000)).toBe(false);
  expect(changes.isNews('bob', false, 90_000)).toBe(true);
});
