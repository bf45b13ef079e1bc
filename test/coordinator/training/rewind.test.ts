import { describe, expect, it } from 'vitest';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { train, type TrainingOptions } from '../../../coordinator/training/train.ts';
import type { Position } from '../../../coordinator/run/checkpoint.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import type { Job } from '../../../shared/model/job.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { testPool } from '../pool/pool-harness.ts';
import { imageDataset } from '../../../shared/data/dataset.ts';

/** Two epochs of sixty steps. */
const SAMPLES = 240;
const job: Job = {
  ...exampleJob,
  batchSize: 4,
  epochs: 2,
  data: { ...exampleJob.data, trainSamples: SAMPLES },
};
const split = (count: number) => ({
  images: new Uint8Array(2 * count),
  labels: new Uint8Array(count),
  count,
});

interface Faults {
  /** Factor of a step's gradient in the n-th computation of the step, from 1. */
  readonly factor?: (step: number, time: number) => number;
  readonly loss?: (step: number, time: number) => number;
  /** Steps after which a worker is banned, with the step of its first wrong answer. */
  readonly banned?: ReadonlyMap<number, number>;
}

/** A run whose gradients depend only on the step and its samples, apart from the faults. */
async function run({ factor = () => 1, loss = () => 0.1, banned = new Map() }: Faults = {}) {
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights, gradientSum } = optimizer;
  const steps: number[] = [];
  const lines: string[] = [];
  const losses: number[] = [];
  const rewoundTo: Position[] = [];
  const validatedUntil: number[] = [];
  const pending = new Map(banned);
  let requested: Step | null = null;
  let rewinds = 0;
  const stepRunner: TrainingOptions['stepRunner'] = {
    run({ step, batch: { sampleNumbers: numbers } }) {
      steps.push(step);
      const time = steps.filter((one) => one === step).length;
      const sum = numbers.reduce((total, number) => total + ((number * 7 + step * 13) % 11) - 5, 0);
      gradientSum.forEach((_, i) => (gradientSum[i] = factor(step, time) * sum * (i + 1)));
      optimizer.apply({ step, samples: numbers.length });
      const since = pending.get(step);
      pending.delete(step);
      if (since !== undefined) requested = since as Step;
      return Promise.resolve({ lossSum: loss(step, time) * numbers.length, metrics: [1], gradientSum });
    },
    evaluate: () => Promise.resolve({ lossSum: 1, metrics: [1] }),
    waitForChecks: () => Promise.resolve(),
    consumeRewindRequest() {
      const step = requested;
      requested = null;
      return step;
    },
    rewind: () => void rewinds++,
    validateAllUntil: (step) => void validatedUntil.push(step),
  };
  const trained = await train({
    job,
    optimizer,
    stepRunner,
    dataset: imageDataset({
      name: 'made',
      description: '',
      sampleShape: [2, 1, 1],
      classes: 2,
      train: split(SAMPLES),
      test: split(4),
    }),
    pool: testPool().pool,
    report: {
      warn: (line) => void lines.push(line),
      epochStarted: () => undefined,
      stepFinished: () => undefined,
      epochFinished: (record) => void losses.push(record.loss),
    },
    clock: manualClock(),
    signal: new AbortController().signal,
    save: () => Promise.resolve(),
    checkpoint(when, position) {
      if (when === 'rewound') rewoundTo.push(position);
      return Promise.resolve();
    },
  });
  return { rewoundTo, trained, weights: [...weights], steps, lines, rewinds, losses, validatedUntil };
}

describe('training is rewound', () => {
  it('to before the answers of a banned worker, and ends with the weights of a run without them', async () => {
    const honest = await run();
    const faulty = await run({
      factor: (step, time) => (step >= 30 && step < 41 && time === 1 ? -3 : 1),
      banned: new Map([[40, 30]]),
    });
    expect(faulty.weights).toEqual(honest.weights);
    expect(faulty.losses).toEqual(honest.losses);
    expect(faulty.trained.steps).toBe(120);
    // Snapshots are taken every 25 steps.
    expect(faulty.steps.slice(39, 44)).toEqual([39, 40, 25, 26, 27]);
    expect(faulty.rewinds).toBe(1);
    // No checkpoint of a later step may stay.
    expect(faulty.rewoundTo).toEqual([{ epoch: 1, step: 25, steps: 25 }]);
    expect(faulty.lines).toEqual([expect.stringMatching(/^The run rewinds from step 41 to step 25,/)]);
  });

  it('at the end of an epoch, before its weights are evaluated and saved', async () => {
    const honest = await run();
    const faulty = await run({
      factor: (step, time) => (step === 59 && time === 1 ? 100 : 1),
      banned: new Map([[59, 59]]),
    });
    expect(faulty.weights).toEqual(honest.weights);
    expect(faulty.steps.slice(59, 62)).toEqual([59, 50, 51]);
  });

  it('once when the loss jumps, and recomputes every answer up to that step', async () => {
    const honest = await run();
    const faulty = await run({
      factor: (step, time) => (step === 27 && time === 1 ? 1e9 : 1),
      loss: (step, time) => (step === 28 && time === 1 ? 8.7e20 : 0.1),
    });
    expect(faulty.weights).toEqual(honest.weights);
    expect(faulty.validatedUntil).toEqual([29]);
    expect(faulty.lines).toEqual([
      expect.stringMatching(
        /^The loss jumped from 0\.10 to 8\.7e\+20 at step 29: the run rewinds to step 25,/,
      ),
    ]);
  });

  it('only once for a repeated jump; then it warns that the training itself diverges', async () => {
    const { trained, lines, steps } = await run({ loss: (step) => (step >= 28 ? 1e9 : 0.1) });
    expect(trained.steps).toBe(120);
    expect(steps.filter((step) => step === 25)).toHaveLength(2);
    expect(lines).toEqual([
      expect.stringMatching(/rewinds to step 25/),
      expect.stringMatching(
        /although all answers were right: the training itself diverges\. .* last checkpoint/,
      ),
    ]);
  });
});
