import { expect, it } from 'vitest';
import { contributionOf, formatPart } from '../../../worker-browser/page/contribution.ts';
import type { RunEvent } from '../../../worker-browser/page/run-state.ts';
import { job, point, progress, received, runMessage, stateAfter, worker } from './run-fixtures.ts';

const rows = (samples: Readonly<Record<string, number>>): RunEvent =>
  received(
    progress({ workers: Object.entries(samples).map(([id, count]) => worker(id, { samples: count })) }),
  );
const joined = (id: string | null): RunEvent => ({ type: 'ownId', id });
const after = (...events: RunEvent[]) =>
  contributionOf(stateAfter(received(runMessage([point(5)])), ...events));

it('is not known before a row of this tab has come', () => {
  expect(after(rows({ a: 10 }))).toEqual({ samples: null, part: null });
  expect(after(joined('own'), rows({ a: 10 }))).toEqual({ samples: null, part: null });
  expect(after(joined('own'), rows({ a: 0, own: 0 }))).toEqual({ samples: 0, part: null });
});

it('stays after the end, when workers leave one after the other', () => {
  const events = [joined('own'), rows({ own: 25, a: 60, b: 15 }), rows({ own: 30, a: 70 })];
  expect(after(...events, joined(null))).toEqual({ samples: 30, part: 30 / 115 });
  const end = received({ type: 'finished', reason: 'done' });
  expect(after(...events, joined(null), rows({}), end)).toEqual({ samples: 30, part: 30 / 115 });
});

it('adds what this tab has computed under earlier worker IDs', () => {
  const events = [joined('own'), rows({ own: 25, a: 75 }), joined(null), joined('again')];
  expect(after(...events, rows({ again: 25, a: 75 }))).toEqual({ samples: 50, part: 0.4 });
});

it('begins anew with another run', () => {
  const events = [joined('own'), rows({ own: 25, a: 75 })];
  const other = received(runMessage([], { ...job, seed: 2 }));
  expect(after(...events, other)).toEqual({ samples: null, part: null });
  // A tab that stays connected goes on under its ID.
  expect(after(...events, other, rows({ own: 5, b: 5 }))).toEqual({ samples: 5, part: 0.5 });
  // The feed repeats its first message when it connects again.
  expect(after(...events, received(runMessage([point(6)])), rows({ own: 30, a: 90 }))).toEqual({
    samples: 30,
    part: 0.25,
  });
});

it('has a part as people read it', () => {
  expect([0, 0.001, 0.2449, 1].map(formatPart)).toEqual(['0%', 'less than 1%', '24%', '100%']);
});
