import { describe, expect, it } from 'vitest';
import { SpotCheckSchedule } from '../../../coordinator/integrity/spot-checks.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { fixedRandom } from '../../support/property.ts';

const candidate = (name: string, suspicion = 0) => ({ worker: name as WorkerId, suspicion });
const MAX_TIME_FRACTION = 0.015;
const CHECK_MS = 30;

/** Simulates steps of 20 ms and checks of 30 ms. @returns number of checks of each worker */
function checksIn(steps: number, candidates: ReturnType<typeof candidate>[]): Map<string, number> {
  const schedule = new SpotCheckSchedule({ maxTimeFraction: MAX_TIME_FRACTION, random: fixedRandom() });
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

describe('SpotCheckSchedule', () => {
  it('checks every worker within the time budget', () => {
    const checks = checksIn(
      10_000,
      ['ann', 'bob', 'cyd', 'eve'].map((name) => candidate(name)),
    );
    expect([...checks.keys()].toSorted()).toEqual(['ann', 'bob', 'cyd', 'eve']);
    expect(sum(checks) * CHECK_MS).toBeLessThanOrEqual(500 + MAX_TIME_FRACTION * 200_000 + CHECK_MS);
    expect(sum(checks) * CHECK_MS).toBeGreaterThan(MAX_TIME_FRACTION * 200_000);
  });

  it('checks a suspicious worker first, with a budget that is larger by half', () => {
    const candidates = [candidate('ann'), candidate('eve', 1), candidate('bob')];
    const checks = checksIn(1_000, candidates);
    expect(checks.get('eve')).toBe(sum(checks));
    expect(sum(checks) * CHECK_MS).toBeLessThanOrEqual(1.5 * (500 + MAX_TIME_FRACTION * 20_000) + CHECK_MS);
    expect(
      new SpotCheckSchedule({ maxTimeFraction: MAX_TIME_FRACTION, random: fixedRandom() }).next(
        candidates,
        0,
      ),
    ).toBe(1);
  });

  it('checks unverified workers before others', () => {
    const schedule = new SpotCheckSchedule({ maxTimeFraction: MAX_TIME_FRACTION, random: fixedRandom() });
    schedule.confirm('ann' as WorkerId);
    for (let i = 0; i < 20; i++) expect(schedule.next([candidate('ann'), candidate('bob')], 0)).toBe(1);
    expect(schedule.next([], 0)).toBeNull();
  });
});
