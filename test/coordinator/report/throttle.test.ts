import { expect, it } from 'vitest';
import { throttleLog } from '../../../coordinator/report/throttle.ts';
import { manualClock } from '../../support/manual-clock.ts';

it('throttleLog writes a few different lines a minute, and the number of suppressed lines', async () => {
  const clock = manualClock();
  const lines: string[] = [];
  const { write, close } = throttleLog(
    (line) => lines.push(line),
    (count) => `and ${count} more`,
    clock,
  );
  for (let i = 0; i < 1000; i++) write(`${i}`);
  expect(lines).toEqual(['0', '1', '2', '3', '4']);
  await clock.advance(60_000);
  expect(lines.slice(5)).toEqual(['and 995 more']);
  write('again');
  await clock.advance(60_000);
  for (let i = 0; i < 3; i++) write('once more');
  write('and another');
  close();
  expect(lines.slice(6)).toEqual(['again', 'once more', 'and another', 'and 2 more']);
  expect(clock.pending).toBe(0);
});
