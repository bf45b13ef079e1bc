import { describe, expect, it } from 'vitest';
import { SpotCheckSchedule } from '../../../coordinator/integrity/spot-checks.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { fixedRandom } from '../../support/property.ts';

const candidate = (name: string, suspicion = 0) => ({ worker: name as WorkerId, suspicion });
const DUTY = 0.015;
const CHECK_MS = 30;

/** Steps of 20 ms; each check takes 30. @returns how often each worker was checked */
function checksIn(steps: number, candidates: ReturnType<typeof candidate>[]): Map<string, number> {
  const schedule = new SpotCheckSchedule({ maxTimeFraction: DUTY, random: fixedRandom() });
  const checks = new Map<string, number>();
  for (let step = 0; step < steps; step++) {
    const i = schedule.next(candidates, 20 * step);
    if (i === null) continue;
    const { worker } = candidates[i]!;
    checks.set(worker, (checks.get(worker) ?? 0) + 1);
    schedule.addTime(CHECK_MS);
    schedule.confirm(worker);
  }
  return checks;
}
const sum = (checks: Map<string, number>): number => [...checks.values()].reduce((a, b) => a + b, 0);

describe('checks of answers', () => {
  it('come to every worker, and take no more than their part of the time', () => {
    const checks = checksIn(
      10_000,
      ['ann', 'bob', 'cyd', 'eve'].map((name) => candidate(name)),
    );
    expect([...checks.keys()].toSorted()).toEqual(['ann', 'bob', 'cyd', 'eve']);
    expect(sum(checks) * CHECK_MS).toBeLessThanOrEqual(500 + DUTY * 200_000 + CHECK_MS);
    expect(sum(checks) * CHECK_MS).toBeGreaterThan(DUTY * 200_000);
  });

  it('come to a suspicious worker first, and in half as much time again', () => {
    const candidates = [candidate('ann'), candidate('eve', 1), candidate('bob')];
    const checks = checksIn(1_000, candidates);
    expect(checks.get('eve')).toBe(sum(checks));
    expect(sum(checks) * CHECK_MS).toBeLessThanOrEqual(1.5 * (500 + DUTY * 20_000) + CHECK_MS);
    expect(new SpotCheckSchedule({ maxTimeFraction: DUTY, random: fixedRandom() }).next(candidates, 0)).toBe(
      1,
    );
  });

  it('come to workers of which no answer was confirmed before they come to others', () => {
    const schedule = new SpotCheckSchedule({ maxTimeFraction: DUTY, random: fixedRandom() });
    schedule.confirm('ann' as WorkerId);
    for (let i = 0; i < 20; i++) expect(schedule.next([candidate('ann'), candidate('bob')], 0)).toBe(1);
    expect(schedule.next([], 0)).toBeNull();
  });
});
