import { expect, it } from 'vitest';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { DivergenceDetector } from '../../../coordinator/training/errors.ts';

/** A member by what the question depends on. */
const member = (id: string, acceptedAnswers: number): Worker =>
  ({ id, health: { acceptedAnswers } }) as Worker;
const [ann, bob, stranger] = [member('ann', 3), member('bob', 1), member('eve', 0)];
const ids = (...members: Worker[]) => members.map(({ id }) => id);

it('the weights are at fault when all of the round who have proven themselves find so, two at least', () => {
  const answers = new DivergenceDetector();
  const here = [ann, bob, stranger];
  expect(answers.hasReports).toBe(false);
  expect(answers.record(stranger, ids(...here), here)).toBe(false);
  expect(answers.record(ann, ids(...here), here)).toBe(false);
  expect(answers.hasReports).toBe(true);
  expect(answers.record(bob, ids(...here), here)).toBe(true);
});

it('one worker alone does not end a run, nor do those who have never answered well', () => {
  expect(new DivergenceDetector().record(ann, ids(ann), [ann])).toBe(false);
  const answers = new DivergenceDetector();
  const strangers = [stranger, member('mallory', 0)];
  const told = strangers.map((each) => answers.record(each, ids(...strangers, ann), [...strangers, ann]));
  expect(told).toEqual([false, false]);
});

it('whoever has been dropped over it counts no more, nor who was not asked', () => {
  const answers = new DivergenceDetector();
  expect(answers.record(ann, ids(ann, bob), [ann, bob])).toBe(false);
  const [cyd, idle] = [member('cyd', 9), member('dan', 9)];
  expect(answers.record(bob, ids(bob, cyd), [bob, cyd, idle])).toBe(false);
  expect(answers.record(cyd, ids(bob, cyd), [bob, cyd, idle])).toBe(true);
});
