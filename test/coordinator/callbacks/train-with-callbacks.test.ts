import { describe, expect, it } from 'vitest';
import type { Callback, CallbackContext } from '../../../coordinator/callbacks/callback.ts';
import { CallbackList } from '../../../coordinator/callbacks/callback-list.ts';
import { trainWithCallbacks } from '../../../coordinator/callbacks/train-with-callbacks.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import type { ResumePoint, TrainingResult } from '../../../coordinator/training/progress.ts';
import { StepRunner } from '../../../coordinator/training/step.ts';
import { imageDataset } from '../../../shared/data/dataset.ts';
import type { Job } from '../../../shared/model/job.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool } from '../pool/pool-harness.ts';

const split = (count: number) => ({
  images: new Uint8Array(2 * count),
  labels: new Uint8Array(count),
  count,
});
const dataset = imageDataset({
  name: 'made',
  description: '',
  sampleShape: [2, 1, 1],
  classes: 2,
  train: split(10),
  test: split(5),
});

interface Outcome {
  readonly trained: TrainingResult | null;
  readonly error: Error | null;
  /** Calls and events in their order. */
  readonly log: readonly string[];
  readonly list: CallbackList;
  readonly weights: Float32Array;
}

/** Trains with one worker, whose gradients are 1: two epochs, of steps with 4, 4 and 2 samples. */
async function run(
  callbacks: readonly Callback[],
  log: string[] = [],
  changes: {
    readonly job?: Partial<Job>;
    readonly resumeFrom?: ResumePoint;
    readonly stopAfter?: number;
  } = {},
): Promise<Outcome> {
  const optimizerSettings = { name: 'sgd', learningRate: 0.5, momentum: 0, nesterov: false } as const;
  const job: Job = {
    ...exampleJob,
    epochs: 2,
    optimizer: optimizerSettings,
    data: { name: 'made', trainSamples: 10, testSamples: 5 },
    ...changes.job,
  };
  const { pool, clock, join } = testPool();
  const ann = await join('ann');
  ann.onShard = () => {
    const { samples } = ann.messages('shard').at(-1)!;
    clock.skip(500);
    void ann.answer({ lossSum: 2 * samples }, Array<number>(6).fill(samples));
  };
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { resumeFrom } = changes;
  const stop = new AbortController();
  const list = new CallbackList({
    callbacks,
    job,
    weightNames: ['d/kernel', 'd/bias'],
    optimizer,
    trainedBy: { gradcast: '0', dataDescription: 'made' },
    runDir: null,
    resumeFrom,
    report: { info: (line) => void log.push(line), warn: (line) => void log.push(`! ${line}`) },
  });
  const training = trainWithCallbacks(
    {
      job,
      dataset,
      optimizer,
      stepRunner: new StepRunner({
        pool,
        job,
        clock,
        mode: standardMode([0]),
        signal: stop.signal,
        onWaiting: () => undefined,
      }),
      pool,
      report: {
        epochStarted: () => undefined,
        stepFinished: ({ weights }) => (weights.step === changes.stopAfter ? stop.abort() : undefined),
        epochFinished: () => undefined,
      },
      clock,
      signal: stop.signal,
      ...(resumeFrom === undefined ? {} : { resumeFrom }),
      save: ({ epoch }) => Promise.resolve(void log.push(`saved ${epoch}`)),
      checkpoint: (when, { epoch, step, steps }) => {
        log.push(`${when} ${epoch}.${step} ${steps}`);
        return Promise.resolve();
      },
    },
    list,
  );
  const state: { result: Pick<Outcome, 'trained' | 'error'> | null } = { result: null };
  void training.then(
    (trained) => (state.result = { trained, error: null }),
    (error: unknown) => (state.result = { trained: null, error: error as Error }),
  );
  for (let turn = 0; turn < 200 && state.result === null; turn++) await settle();
  const { trained = null, error = null } = state.result ?? {};
  return { trained, error, log, list, weights: optimizer.weights };
}

/** Callback that logs each call. */
const logging = (log: string[], name = ''): Required<Pick<Callback, 'onTrainBegin'>> & Callback => {
  const line = (event: string) => (context: CallbackContext) => {
    const { epoch, step, logs } = context;
    log.push(`${name}${event} ${epoch} ${step} ${Object.keys(logs).join(',')}`);
  };
  return {
    onTrainBegin: line('begin'),
    onEpochBegin: line('epoch begins'),
    onStepEnd: line('step'),
    onEpochEnd: line('epoch ends'),
    onTrainEnd: line('end'),
    onError: ({ message }) => void log.push(`${name}error ${message}`),
  };
};

describe('a training with callbacks', () => {
  it('calls them in order between steps, before checkpoints are written', async () => {
    const log: string[] = [];
    const { trained } = await run([logging(log)], log);
    expect(trained).toMatchObject({ epochs: 2, steps: 6 });
    const test = 'loss,accuracy,val_loss,val_accuracy';
    expect(log).toEqual([
      'begin 1 0 ',
      'epoch begins 1 0 ',
      ...['step 1 1 loss,accuracy', 'step 1.1 1', 'step 1 2 loss,accuracy', 'step 1.2 2'],
      ...['step 1 3 loss,accuracy', 'step 1.3 3', `epoch ends 1 3 ${test}`, 'saved 1', 'epoch 2.0 3'],
      'epoch begins 2 3 ',
      ...['step 2 4 loss,accuracy', 'step 2.1 4', 'step 2 5 loss,accuracy', 'step 2.2 5'],
      ...['step 2 6 loss,accuracy', 'step 2.3 6', `epoch ends 2 6 ${test}`, 'saved 2', 'epoch 3.0 6'],
      `end 2 6 ${test}`,
    ]);
  });

  it('waits for asynchronous callbacks, one after the other', async () => {
    const log: string[] = [];
    const slow: Callback = {
      async onStepEnd({ step }) {
        await settle();
        log.push(`slow ${step}`);
      },
    };
    await run([slow, { onStepEnd: ({ step }) => void log.push(`fast ${step}`) }], log, {
      job: { epochs: 1 },
    });
    const steps = [1, 2, 3].flatMap((step) => [`slow ${step}`, `fast ${step}`, `step 1.${step} ${step}`]);
    expect(log.slice(0, 9)).toEqual(steps);
  });

  it('has the same weights and checkpoints without callbacks', async () => {
    const [without, withOne] = [await run([]), await run([logging([])])];
    expect(without.weights).toEqual(withOne.weights);
    expect(without.log).toEqual(withOne.log);
    expect(without.weights[0]).toBe(-3);
  });

  it('ends after the step in which a callback stops it, with a checkpoint', async () => {
    const log: string[] = [];
    const stopper: Callback = { onStepEnd: ({ step, stop }) => (step === 2 ? stop('enough') : undefined) };
    const ended: Callback = { onTrainEnd: ({ stopReason }) => void log.push(`end: ${stopReason}`) };
    const { trained, list } = await run([stopper, ended], log);
    expect(trained).toMatchObject({ epochs: 0, steps: 2 });
    expect(log).toEqual(['step 1.1 1', 'stop 1.2 2', 'end: enough']);
    expect(list.stopReason).toBe('enough');
  });

  it('ends after the epoch in which a callback stops it, before the next begins', async () => {
    const log: string[] = [];
    const stopper: Callback = { onEpochEnd: ({ stop }) => stop('enough') };
    const { trained } = await run([stopper, logging(log)], log);
    expect(trained).toMatchObject({ epochs: 1, steps: 3 });
    expect(log.slice(-4).map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      ...['epoch ends', 'saved 1', 'epoch 2.0', 'end 1'],
    ]);
  });

  it('does no step if a callback stops it at the beginning', async () => {
    const log: string[] = [];
    const { trained } = await run([{ onTrainBegin: ({ stop }) => stop('no') }, logging(log)], log);
    expect(trained).toMatchObject({ epochs: 0, steps: 0 });
    expect(log).toEqual(['begin 1 0 ', 'end 1 0 ']);
  });

  it('tells callbacks that a signal stopped the run', async () => {
    const log: string[] = [];
    const ended: Callback = { onTrainEnd: ({ stopReason }) => void log.push(`end: ${stopReason}`) };
    await run([ended], log, { stopAfter: 2 });
    expect(log).toEqual(['step 1.1 1', 'stop 1.2 2', 'end: the run was interrupted']);
  });

  it.each([
    ['onTrainBegin', [], ['error']],
    ['onEpochBegin', [], ['error']],
    ['onStepEnd', ['stop 1.1 1'], ['error']],
    ['onEpochEnd', ['step 1.3 3', 'saved 1', 'epoch 2.0 3'], ['error']],
    ['onTrainEnd', ['step 2.3 6', 'saved 2', 'epoch 3.0 6'], ['error']],
  ] as const)('ends with the error of %s, after a checkpoint', async (event, last, errors) => {
    const log: string[] = [];
    const failing: Callback = {
      name: 'mine',
      [event]: () => {
        throw new Error('no such table');
      },
    };
    const other: Callback = { onError: () => void log.push('error') };
    const { trained, error } = await run([failing, other], log);
    expect(trained).toBeNull();
    expect(error?.message).toBe('The callback mine failed: no such table');
    expect(log.slice(-last.length - 1)).toEqual([...last, ...errors]);
  });

  it('warns of a callback that fails after the error that ended the run', async () => {
    const log: string[] = [];
    const fail = (message: string) => () => Promise.reject(new Error(message));
    const first: Callback = { onStepEnd: fail('first'), onError: fail('second') };
    const { error } = await run([first, logging(log)], log);
    expect(error?.message).toBe('The callback callback 1 failed: first');
    expect(log.slice(-2)).toEqual([
      '! The callback callback 1 failed after the error: second',
      'error The callback callback 1 failed: first',
    ]);
  });

  it('applies the learning rate that a callback sets from the next step on', async () => {
    const log: string[] = [];
    const setter: Callback = {
      onStepEnd: ({ step, learningRate, setLearningRate }) => {
        log.push(String(learningRate));
        if (step === 1) setLearningRate(0.25);
      },
    };
    const { weights } = await run([setter], log, { job: { epochs: 1 } });
    expect(weights[0]).toBe(-(0.5 + 0.25 + 0.25));
    expect(log.filter((line) => line.startsWith('0.'))).toEqual(['0.5', '0.25', '0.25']);
  });

  it('refuses a learning rate that a schedule sets, too', async () => {
    const schedule = { name: 'exponential', decaySteps: 2, decayRate: 0.5, staircase: false } as const;
    const optimizer = { name: 'sgd', learningRate: 0.5, momentum: 0, nesterov: false, schedule } as const;
    const setter: Callback = { name: 'setter', onEpochBegin: ({ setLearningRate }) => setLearningRate(1) };
    const { error } = await run([setter], [], { job: { optimizer } });
    expect(error?.message).toBe(
      'The callback setter failed: The learning rate is set by the schedule exponential. Leave out one of them.',
    );
  });

  it('does not begin again the epoch within which a run is resumed', async () => {
    const log: string[] = [];
    const tally = { samples: 4, lossSum: 8, metrics: [1], seconds: 1 };
    const resumeFrom = { position: { epoch: 2, step: 1, steps: 4 }, tally, last: null };
    await run([logging(log)], log, { resumeFrom });
    expect(log.slice(0, 2)).toEqual(['begin 2 4 ', 'step 2 5 loss,accuracy']);
    expect(log.at(-1)).toMatch(/^end 2 6/);
  });
});
