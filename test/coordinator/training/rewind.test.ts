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

interface Spoilt {
  /** Factor of a step's gradient, by how many times the step has been computed (from 1). */
  readonly factor?: (step: number, time: number) => number;
  readonly loss?: (step: number, time: number) => number;
  /** Steps after which a worker is found to have lied, and since when. */
  readonly found?: ReadonlyMap<number, number>;
}

/** A run whose gradients depend on the step and its samples alone, but for what is spoilt. */
async function run({ factor = () => 1, loss = () => 0.1, found = new Map() }: Spoilt = {}) {
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights, gradientSum } = optimizer;
  const [steps, lines, losses]: [number[], string[], number[]] = [[], [], []];
  const rewoundTo: Position[] = [];
  const distrusted: number[] = [];
  const pending = new Map(found);
  let rewind: Step | null = null;
  let rewinds = 0;
  const stepRunner: TrainingOptions['stepRunner'] = {
    run({ step, samples: numbers }) {
      steps.push(step);
      const time = steps.filter((one) => one === step).length;
      const sum = numbers.reduce((total, number) => total + ((number * 7 + step * 13) % 11) - 5, 0);
      gradientSum.forEach((_, i) => (gradientSum[i] = factor(step, time) * sum * (i + 1)));
      optimizer.apply(numbers.length);
      const since = pending.get(step);
      pending.delete(step);
      if (since !== undefined) rewind = since as Step;
      return Promise.resolve({ lossSum: loss(step, time) * numbers.length, correct: 1, gradientSum });
    },
    evaluate: () => Promise.resolve({ lossSum: 1, correct: 1 }),
    waitForChecks: () => Promise.resolve(),
    consumeRewindRequest() {
      const taken = rewind;
      rewind = null;
      return taken;
    },
    rewind: () => void rewinds++,
    validateAllUntil: (step) => void distrusted.push(step),
  };
  const trained = await train({
    job,
    optimizer,
    stepRunner,
    dataset: {
      name: 'made',
      description: '',
      sampleShape: [2, 1, 1],
      classes: 2,
      train: split(SAMPLES),
      test: split(4),
    },
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
  return { rewoundTo, trained, weights: [...weights], steps, lines, rewinds, losses, distrusted };
}

describe('training goes back', () => {
  it('to before a banned worker’s answers, and ends with the weights that it would have had without them', async () => {
    const honest = await run();
    const spoilt = await run({
      factor: (step, time) => (step >= 30 && step < 41 && time === 1 ? -3 : 1),
      found: new Map([[40, 30]]),
    });
    expect(spoilt.weights).toEqual(honest.weights);
    expect(spoilt.losses).toEqual(honest.losses);
    expect(spoilt.trained.steps).toBe(120);
    // Snapshots are taken every 25 steps.
    expect(spoilt.steps.slice(39, 44)).toEqual([39, 40, 25, 26, 27]);
    expect(spoilt.rewinds).toBe(1);
    // No checkpoint of a later step may stay.
    expect(spoilt.rewoundTo).toEqual([{ epoch: 1, step: 25, steps: 25 }]);
    expect(spoilt.lines).toEqual([expect.stringMatching(/^The run goes back from step 41 to step 25,/)]);
  });

  it('at the end of an epoch too, before its weights are evaluated and saved', async () => {
    const honest = await run();
    const spoilt = await run({
      factor: (step, time) => (step === 59 && time === 1 ? 100 : 1),
      found: new Map([[59, 59]]),
    });
    expect(spoilt.weights).toEqual(honest.weights);
    expect(spoilt.steps.slice(59, 62)).toEqual([59, 50, 51]);
  });

  it('when the loss jumps, once, and has every answer recomputed up to there', async () => {
    const honest = await run();
    const spoilt = await run({
      factor: (step, time) => (step === 27 && time === 1 ? 1e9 : 1),
      loss: (step, time) => (step === 28 && time === 1 ? 8.7e20 : 0.1),
    });
    expect(spoilt.weights).toEqual(honest.weights);
    expect(spoilt.distrusted).toEqual([29]);
    expect(spoilt.lines).toEqual([
      expect.stringMatching(
        /^The loss jumped from 0\.10 to 8\.7e\+20 at step 29: the run goes back to step 25,/,
      ),
    ]);
  });

  it('no second time from a jump that comes again: then it is the training itself, which the person is told', async () => {
    const { trained, lines, steps } = await run({ loss: (step) => (step >= 28 ? 1e9 : 0.1) });
    expect(trained.steps).toBe(120);
    expect(steps.filter((step) => step === 25)).toHaveLength(2);
    expect(lines).toEqual([
      expect.stringMatching(/goes back to step 25/),
      expect.stringMatching(/without a wrong answer: the training itself diverges\. .* last checkpoint/),
    ]);
  });
});
