import { expect, it } from 'vitest';
import { job, point, progress, received, record, runMessage, stateAfter } from './run-fixtures.ts';

it('adds new points and epochs to those of the run message', () => {
  const run = stateAfter(
    received(runMessage([point(1), point(2)])),
    received(progress({ curve: [point(2), point(3)] })),
    received({ type: 'epoch', record }),
  );
  expect(run.curve.map(({ step }) => step)).toEqual([1, 2, 3]);
  expect(run.epochs).toEqual([record]);
  expect(run.link.type).toBe('live');
});

it('recognizes another run after a restart of the coordinator', () => {
  const before = received(runMessage([point(1), point(2)]));
  expect(stateAfter(before, received(runMessage([point(1), point(2), point(3)]))).restarted).toBe(false);
  expect(stateAfter(before, received(runMessage([]))).restarted).toBe(true);
  expect(stateAfter(before, received(runMessage([point(5)], { ...job, seed: 2 }))).restarted).toBe(true);
});
