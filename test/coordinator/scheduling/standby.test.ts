import { expect, it } from 'vitest';
import { ProbationSchedule } from '../../../coordinator/scheduling/standby.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';

it('probes a worker on standby with four shards after fifty steps, then at intervals that double', () => {
  const schedule = new ProbationSchedule();
  const isDue = Array.from({ length: 1000 }, () => schedule.isProbeDue('w' as WorkerId));
  const probedSteps = isDue.flatMap((due, i) => (due ? [i] : []));
  expect(probedSteps).toEqual([50, 51, 52, 53, 154, 155, 156, 157, 358, 359, 360, 361, 762, 763, 764, 765]);
});
