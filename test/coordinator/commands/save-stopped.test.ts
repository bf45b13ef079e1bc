import { describe, expect, it } from 'vitest';
import type { TestScores } from '../../../coordinator/report/reporter.ts';
import { saveStoppedRun } from '../../../coordinator/commands/run-training.ts';
import { Interrupted } from '../../../coordinator/training/errors.ts';
import type { TrainingResult } from '../../../coordinator/training/progress.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 40, testCount: 10 });
const MEANS = { loss: 1, accuracy: 0.5, val_loss: 0.9, val_accuracy: 0.6 };
const last: EpochRecord = {
  epoch: 2,
  ...MEANS,
  seconds: 1,
  samples_per_second: 40,
  workers: 1,
  data: 'made',
};

async function stop(trained: TrainingResult, evaluate = () => Promise.resolve({ lossSum: 5, metrics: [8] })) {
  const events: (string | TestScores | null)[] = [];
  const measured = await saveStoppedRun({
    trained,
    dataset,
    job: { ...exampleJob, batchSize: 10 },
    weights: new Float32Array(3),
    stepRunner: {
      evaluate: ({ split }) => {
        events.push(`measures ${'count' in split ? split.count : 'a shard'}`);
        return evaluate();
      },
    },
    report: { progress: () => undefined, warn: (line) => void events.push(line) },
    save: (scores) => Promise.resolve(void events.push(scores)),
  });
  return { measured, events };
}

describe('a run that is stopped', () => {
  it('within an epoch is saved, then measured and saved with its scores', async () => {
    const { measured, events } = await stop({ epochs: 2, steps: 9, last });
    expect(measured).toEqual({ val_loss: 0.5, val_accuracy: 0.8 });
    expect(events).toEqual([null, 'measures 10', measured]);
  });

  it('in its first epoch is measured too', async () => {
    const { measured } = await stop({ epochs: 0, steps: 1, last: null });
    expect(measured).toEqual({ val_loss: 0.5, val_accuracy: 0.8 });
  });

  it('at the end of an epoch is saved with the scores of that epoch', async () => {
    const { measured, events } = await stop({ epochs: 2, steps: 8, last });
    const scores = { val_loss: last.val_loss, val_accuracy: last.val_accuracy };
    expect(measured).toEqual(scores);
    expect(events).toEqual([scores]);
  });

  it('without a worker left warns that the model was not measured', async () => {
    const { measured, events } = await stop({ epochs: 2, steps: 9, last }, () =>
      Promise.reject(new Interrupted()),
    );
    expect(measured).toBeNull();
    expect(events[0]).toBeNull();
    expect(events.at(-1)).toMatch(/not measured on the test data: no worker was left/);
  });
});
