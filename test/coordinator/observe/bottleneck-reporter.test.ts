import { describe, expect, it } from 'vitest';
import { BottleneckReporter, MIN_STEPS } from '../../../coordinator/observe/bottleneck-reporter.ts';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { LinkMeter } from '../../../coordinator/links/meter.ts';
import type { StepReport } from '../../../coordinator/report/reporter.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { manualClock } from '../../support/manual-clock.ts';

const { batchSize } = exampleJob;

function watched() {
  const clock = manualClock();
  const workers = new Map<WorkerId, Worker>();
  const said: string[] = [];
  const advisor = new BottleneckReporter({
    job: exampleJob,
    pool: { workers },
    clock,
    onAdvice: (sentence) => void said.push(sentence),
  });
  const join = (name: string): Worker => {
    const member = {
      id: name,
      name,
      isStandby: false,
      link: { codec: 'float32', updateCodec: null, bucketOffsets: [0], meter: new LinkMeter() },
    } as unknown as Worker;
    workers.set(name as WorkerId, member);
    return member;
  };
  const steps = (count: number, stepMs: number): void => {
    for (let i = 0; i < count; i++) {
      clock.skip(stepMs);
      for (const { link } of workers.values()) {
        link.meter.recordAnswer({ samples: 2, computeMs: stepMs - 20, turnaroundMs: stepMs - 10 });
      }
      advisor.stepFinished({ batch: { samples: batchSize } } as StepReport);
    }
  };
  return { advisor, join, steps, said };
}

describe('advice', () => {
  it('comes once a few hundred steps agree, and not a step before', () => {
    expect(MIN_STEPS).toBe(300);
    const { advisor, join, steps, said } = watched();
    join('ann');
    advisor.epochStarted();
    // The first step makes the worker known, the second one is the first whose duration counts.
    steps(MIN_STEPS, 100);
    expect(advisor.advice).toBeNull();
    advisor.epochFinished();
    expect(said).toEqual([]);
    steps(1, 100);
    expect(advisor.advice).toMatch(/^A step takes 100 ms: ann computes its 2 samples in 80 ms,/);
    advisor.epochFinished();
    advisor.epochFinished();
    expect(said).toEqual([advisor.advice]);
  });

  it('does not come while steps become slower or faster', () => {
    const { advisor, join, steps } = watched();
    join('ann');
    steps(101, 100);
    steps(200, 120);
    expect(advisor.advice).toBeNull();
    steps(49, 120);
    expect(advisor.advice).toBeNull();
    steps(1, 120);
    expect(advisor.advice).toMatch(/^A step takes 120 ms/);
  });

  it('begins anew when a worker joins, leaves, or goes on standby', () => {
    const { advisor, join, steps } = watched();
    join('ann');
    steps(MIN_STEPS + 1, 100);
    const bob = join('bob');
    steps(MIN_STEPS, 100);
    expect(advisor.advice).toBeNull();
    steps(1, 100);
    expect(advisor.advice).toContain('A step takes 100 ms');
    bob.isStandby = true;
    steps(1, 100);
    expect(advisor.advice).toBeNull();
  });
});
