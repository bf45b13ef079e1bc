import { expect, it } from 'vitest';
import type { Member } from '../../../coordinator/members/member.ts';
import { NotFiniteAnswers } from '../../../coordinator/training/not-finite.ts';

/** A member by what the question depends on. */
const member = (id: string, accepted: number): Member => ({ id, accepted }) as Member;
const [ann, bob, stranger] = [member('ann', 3), member('bob', 1), member('eve', 0)];
const ids = (...members: Member[]) => members.map(({ id }) => id);

it('the weights are at fault when all of the round who have proven themselves find so, two at least', () => {
  const answers = new NotFiniteAnswers();
  const here = [ann, bob, stranger];
  expect(answers.any).toBe(false);
  expect(answers.add(stranger, ids(...here), here)).toBe(false);
  expect(answers.add(ann, ids(...here), here)).toBe(false);
  expect(answers.any).toBe(true);
  expect(answers.add(bob, ids(...here), here)).toBe(true);
});

it('one worker alone does not end a run, nor do those who have never answered well', () => {
  expect(new NotFiniteAnswers().add(ann, ids(ann), [ann])).toBe(false);
  const answers = new NotFiniteAnswers();
  const strangers = [stranger, member('mallory', 0)];
  const told = strangers.map((each) => answers.add(each, ids(...strangers, ann), [...strangers, ann]));
  expect(told).toEqual([false, false]);
});

it('whoever has been dropped over it counts no more, nor who was not asked', () => {
  const answers = new NotFiniteAnswers();
  expect(answers.add(ann, ids(ann, bob), [ann, bob])).toBe(false);
  const [cyd, idle] = [member('cyd', 9), member('dan', 9)];
  expect(answers.add(bob, ids(bob, cyd), [bob, cyd, idle])).toBe(false);
  expect(answers.add(cyd, ids(bob, cyd), [bob, cyd, idle])).toBe(true);
});
