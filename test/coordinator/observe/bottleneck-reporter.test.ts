import { describe, expect, it } from 'vitest';
import { BottleneckReporter, MIN_STEPS } from '../../../coordinator/observe/bottleneck-reporter.ts';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { LinkMeter } from '../../../coordinator/links/meter.ts';
import type { StepReport } from '../../../coordinator/report/reporter.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { manualClock } from '../../support/manual-clock.ts';

const { batchSize } = exampleJob;

function testReporter() {
  const clock = manualClock();
  const workers = new Map<WorkerId, Worker>();
  const reported: string[] = [];
  const reporter = new BottleneckReporter({
    job: exampleJob,
    pool: { workers },
    clock,
    onAdvice: (sentence) => void reported.push(sentence),
  });
  const join = (name: string): Worker => {
    const worker = {
      id: name,
      name,
      isStandby: false,
      link: { codec: 'float32', updateCodec: null, bucketOffsets: [0], meter: new LinkMeter() },
    } as unknown as Worker;
    workers.set(name as WorkerId, worker);
    return worker;
  };
  const steps = (count: number, stepMs: number): void => {
    for (let i = 0; i < count; i++) {
      clock.skip(stepMs);
      for (const { link } of workers.values()) {
        link.meter.recordAnswer({ samples: 2, computeMs: stepMs - 20, turnaroundMs: stepMs - 10 });
      }
      reporter.stepFinished({ batch: { samples: batchSize }, dataWaitMs: 0 } as StepReport);
    }
  };
  return { reporter, join, steps, reported };
}

describe('advice during a run', () => {
  it('is reported once 300 steps agree, and not a step earlier', () => {
    expect(MIN_STEPS).toBe(300);
    const { reporter, join, steps, reported } = testReporter();
    join('ann');
    reporter.epochStarted();
    // The first step has no duration yet: its start is not known.
    steps(MIN_STEPS, 100);
    expect(reporter.advice).toBeNull();
    reporter.epochFinished();
    expect(reported).toEqual([]);
    steps(1, 100);
    expect(reporter.advice).toMatch(/^A step takes 100 ms: ann computes its 2 samples in 80 ms,/);
    reporter.epochFinished();
    reporter.epochFinished();
    expect(reported).toEqual([reporter.advice]);
  });

  it('is null while steps become slower or faster', () => {
    const { reporter, join, steps } = testReporter();
    join('ann');
    steps(101, 100);
    steps(200, 120);
    expect(reporter.advice).toBeNull();
    steps(49, 120);
    expect(reporter.advice).toBeNull();
    steps(1, 120);
    expect(reporter.advice).toMatch(/^A step takes 120 ms/);
  });

  it('needs 300 new steps when a worker joins, leaves, or goes on standby', () => {
    const { reporter, join, steps } = testReporter();
    join('ann');
    steps(MIN_STEPS + 1, 100);
    const bob = join('bob');
    steps(MIN_STEPS, 100);
    expect(reporter.advice).toBeNull();
    steps(1, 100);
    expect(reporter.advice).toContain('A step takes 100 ms');
    bob.isStandby = true;
    steps(1, 100);
    expect(reporter.advice).toBeNull();
  });
});
