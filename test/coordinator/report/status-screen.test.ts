import { expect, it } from 'vitest';
import { statusScreen } from '../../../coordinator/report/status-screen.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { testTerminal } from '../../support/terminal.ts';

const XTERM = { TERM: 'xterm-256color' };

it('replaces the status on a terminal, cut to its size, and leaves the whole one at the end', async () => {
  const clock = manualClock();
  const terminal = testTerminal(20, 4);
  const screen = statusScreen(Object.assign(terminal, { isTTY: true }), clock, XTERM);
  screen.show(['Epoch 1/3', 'a row that is longer than the screen']);
  expect(await terminal.screen()).toEqual(['Epoch 1/3', 'a row that is longe']);
  await clock.advance(1_000);
  const status = ['Epoch 2/3', 'ann', 'bob', 'cyd', 'dan'];
  screen.show(status);
  expect(await terminal.screen()).toEqual(['Epoch 2/3', 'ann', '3 more lines; a lar']);
  screen.close();
  expect(await terminal.screen()).toEqual(status);
});

it('prints the first status, one every ten seconds, and the last one where there is no terminal', async () => {
  const clock = manualClock();
  const terminal = testTerminal(20);
  const screen = statusScreen(terminal, clock, XTERM);
  screen.show(['step 1']);
  await clock.advance(9_000);
  screen.show(['step 2']);
  await clock.advance(1_000);
  screen.show(['step 3']);
  await clock.advance(1_000);
  screen.show(['step 4']);
  screen.close();
  expect(await terminal.screen()).toEqual(['step 1', '', 'step 3', '', 'step 4']);
});
