import { expect, it } from 'vitest';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { DivergenceDetector } from '../../../coordinator/training/round-executor.ts';

/** A worker with the fields that the detector reads. */
const worker = (id: string, acceptedAnswers: number): Worker =>
  ({ id, health: { acceptedAnswers } }) as Worker;
const [ann, bob, newcomer] = [worker('ann', 3), worker('bob', 1), worker('eve', 0)];
const ids = (...workers: Worker[]) => workers.map(({ id }) => id);

it('training diverges when all proven workers of a round report it, at least two', () => {
  const detector = new DivergenceDetector();
  const here = [ann, bob, newcomer];
  expect(detector.hasReports).toBe(false);
  expect(detector.record(newcomer, ids(...here), here)).toBe(false);
  expect(detector.record(ann, ids(...here), here)).toBe(false);
  expect(detector.hasReports).toBe(true);
  expect(detector.record(bob, ids(...here), here)).toBe(true);
});

it('neither one worker nor workers without an accepted answer end a run', () => {
  expect(new DivergenceDetector().record(ann, ids(ann), [ann])).toBe(false);
  const detector = new DivergenceDetector();
  const newcomers = [newcomer, worker('mallory', 0)];
  const results = newcomers.map((each) => detector.record(each, ids(...newcomers, ann), [...newcomers, ann]));
  expect(results).toEqual([false, false]);
});

it('does not wait for dropped workers, nor for workers outside the round', () => {
  const detector = new DivergenceDetector();
  expect(detector.record(ann, ids(ann, bob), [ann, bob])).toBe(false);
  const [cyd, idle] = [worker('cyd', 9), worker('dan', 9)];
  expect(detector.record(bob, ids(bob, cyd), [bob, cyd, idle])).toBe(false);
  expect(detector.record(cyd, ids(bob, cyd), [bob, cyd, idle])).toBe(true);
});
