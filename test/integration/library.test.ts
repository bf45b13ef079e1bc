import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  createCoordinator,
  earlyStopping,
  train,
  type Codec,
  type Engine,
  type RunEvent,
  type Task,
  type TrainOptions,
} from '../../coordinator/index.ts';
import { float16 } from '../../shared/codec/packed.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { ENGINE_CHOICES } from '../../shared/engine/engine-choice.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { fixedRandom } from '../support/property.ts';
import { stubEngine } from '../support/stub-engine.ts';
import { recordingReport, tinyTopology } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const scratch = mkdtempSync(join(tmpdir(), 'gradcast-library-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
const task: Task = {
  data: dataset,
  model: tinyTopology([28, 28, 1], 10),
  batchSize: 16,
  epochs: 2,
  optimizer: 'adam',
};
const nothing = (): void => undefined;
const honest = (): Engine => stubEngine({ perSampleMs: 0, tamper: (value) => value });

/** Engine whose loss is the size of the first weight. */
function firstWeightEngine(): Engine {
  const stub = honest();
  return {
    ...stub,
    async load(...args) {
      let first = NaN;
      return {
        ...(await stub.load(...args)),
        setWeights: (weights) => void (first = Math.abs(weights[0] as number)),
        evaluate: ({ sampleNumbers: { length } }) =>
          Promise.resolve({ lossSum: first * length, metrics: [0] }),
      };
    },
  };
}

interface JoinRun {
  readonly waiting?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** A worker of this process that joins over a socket. */
function joinRun(
  url: string,
  engine: Engine,
  token?: string,
  { waiting = nothing, signal = new AbortController().signal }: JoinRun = {},
): Promise<string> {
  return runWorker({
    url,
    name: 'ann',
    engine,
    connect: connectWebSocket,
    clock: systemClock(globalThis),
    random: fixedRandom(),
    report: { joined: nothing, computed: nothing, waiting, note: nothing },
    signal,
    ...(token === undefined ? {} : { token }),
  });
}

test.each(ENGINE_CHOICES)('train() takes the engine %s', async (engine) => {
  const leave = new AbortController();
  let isListening = false;
  const run = train(task, {
    ...{ engine, workers: 0, signal: leave.signal },
    onListening() {
      isListening = true;
      leave.abort();
    },
  });
  await expect(run).rejects.toThrow('aborted');
  expect(isListening).toBe(true);
});

describe('train() with an engine of its own', () => {
  test('gives events while it trains and a model at its end, and opens no port', async () => {
    const run = train(task, { engine: await wasmEngine() });
    const events: RunEvent[] = [];
    for await (const event of run) events.push(event);
    const model = await run;
    const epochs = events.filter(({ type }) => type === 'epoch');
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(epochs.map(({ val_accuracy }) => val_accuracy)).toEqual(
      model.history.map(({ val_accuracy }) => val_accuracy),
    );
    const steps = events.filter(({ type }) => type === 'step');
    expect(steps.map(({ epoch, step }) => [epoch, step])).toEqual(
      [1, 2].flatMap((epoch) => [1, 2, 3, 4].map((step) => [epoch, step])),
    );
    expect(run.urls).toEqual([]);
    expect(run.url).toBe(null);
    expect(run.steps).toBe(8);
    expect(model).toMatchObject({ steps: 8, isStopped: false, folder: null, canResume: false });
    const { val_loss, val_accuracy } = model.history[1]!;
    expect(model.scores).toEqual({ val_loss, val_accuracy });
    expect(epochs.at(-1)?.metrics).toEqual({ accuracy: model.history[1]!.accuracy, val_accuracy });
  });

  test('predicts and evaluates as the run did, and saves what tf.loadLayersModel predicts the same with', async () => {
    const model = await train(task, { engine: await wasmEngine() });
    await wasmEngine();
    const { loss, accuracy } = await model.evaluate();
    expect(loss).toBeCloseTo(model.history[1]!.val_loss, 5);
    expect(accuracy).toBeCloseTo(model.history[1]!.val_accuracy!, 6);
    const pixels = dataset.test.inputs[0] as Uint8Array;
    const flat = await model.predict(pixels.subarray(0, 3 * 784));
    expect(flat).toBeInstanceOf(Float32Array);
    expect(flat).toHaveLength(30);
    const rows = (from: number): number[][][] =>
      Array.from({ length: 28 }, (_, y) =>
        Array.from({ length: 28 }, (_, x) => [pixels[from + 28 * y + x]!]),
      );
    const [first] = (await model.predict([rows(0), rows(784)])) as number[][];
    first!.forEach((value, i) => expect(value).toBeCloseTo(flat[i]!, 6));
    const folder = join(scratch, 'model');
    await model.save(folder);
    const { modelTopology, weightsManifest } = JSON.parse(
      readFileSync(join(folder, 'model.json'), 'utf8'),
    ) as {
      modelTopology: object;
      weightsManifest: { paths: string[]; weights: tf.io.WeightsManifestEntry[] }[];
    };
    const weights = readFileSync(join(folder, weightsManifest[0]!.paths[0]!));
    const loaded = await tf.loadLayersModel(
      tf.io.fromMemory({
        modelTopology,
        weightSpecs: weightsManifest[0]!.weights,
        weightData: Uint8Array.from(weights).buffer,
      }),
    );
    const expected = loaded.predict(
      tf.tensor(
        Float32Array.from(pixels.subarray(0, 784), (byte) => byte / 255),
        [1, 28, 28, 1],
      ),
    ) as tf.Tensor;
    const values = await expected.data();
    // The saved model may end in logits or in their softmax; the order of the classes is the same.
    expect([...values].indexOf(Math.max(...values))).toBe(first!.indexOf(Math.max(...first!)));
    const card = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(card).toContain('# Model trained on drawn-digits');
    expect(card).toContain('Engines: wasm');
    await model.export(join(scratch, 'model.keras'));
    const again = await train(
      {
        ...task,
        model: join(scratch, 'model.keras'),
        epochs: 1,
        optimizer: { name: 'sgd', learningRate: 0 },
      },
      { engine: await wasmEngine() },
    );
    expect(again.weights).toEqual(model.weights);
  });

  test('evaluates with the penalty of the model', async () => {
    const penalty = structuredClone(task.model) as { config: { layers: { config: object }[] } };
    Object.assign(penalty.config.layers[1]!.config, {
      kernel_regularizer: { class_name: 'L1L2', config: { l1: 1, l2: 0 } },
    });
    const model = await train(
      {
        ...task,
        model: penalty as object as Record<string, unknown>,
        epochs: 1,
        optimizer: { name: 'sgd', learningRate: 0 },
      },
      { engine: firstWeightEngine() },
    );
    const kernel = model.weights.subarray(0, 7840);
    const sum = kernel.reduce((total, weight) => total + Math.abs(weight), 0);
    expect((await model.evaluate()).loss).toBeCloseTo(Math.abs(model.weights[0]!) + sum, 2);
  });

  test('trains arrays, with classes of whole numbers', async () => {
    const x = Array.from({ length: 40 }, (_, i) => [i % 2, (i >> 1) % 2]);
    const y = x.map(([a, b]) => a! ^ b!);
    const run = train(
      {
        model: (given) =>
          given.sequential({
            layers: [
              given.layers.dense({ units: 8, activation: 'tanh', inputShape: [2] }),
              given.layers.dense({ units: 2, activation: 'softmax' }),
            ],
          }),
        data: { x, y, xTest: x.slice(0, 4), yTest: y.slice(0, 4) },
        optimizer: { name: 'adam', learningRate: 0.1 },
        batchSize: 8,
        epochs: 20,
      },
      { engine: await wasmEngine() },
    );
    const model = await run;
    expect(model.history.at(-1)).toMatchObject({ val_accuracy: 1, data: 'arrays' });
    const predicted = (await model.predict([[0, 0], [0, 1], [1, 0], [1, 1]])) as number[][]; // prettier-ignore
    expect(predicted.map(([zero, one]) => Number(one! > zero!))).toEqual([0, 1, 1, 0]);
    expect(await model.evaluate({ x: [[1, 1]], y: [0] })).toMatchObject({ accuracy: 1 });
    await expect(model.predict([[0, 0, 0]])).rejects.toThrow(
      'The inputs has samples of [3], but the model was made for [2].',
    );
  });

  test('the model of a function has the initial weights of the seed, and a model its own weights', async () => {
    const layers = () => [tf.layers.flatten({ inputShape: [28, 28, 1] }), tf.layers.dense({ units: 10, activation: 'softmax' })]; // prettier-ignore
    const still = { ...task, epochs: 1, optimizer: { name: 'sgd', learningRate: 0 } } as const;
    const trained = async (model: Task['model']) =>
      (await train({ ...still, model }, { engine: honest() })).weights;
    const first = await trained(() => tf.sequential({ layers: layers() }));
    expect(await trained(() => tf.sequential({ layers: layers() }))).toEqual(first);
    const own = tf.sequential({ layers: layers() });
    const values = (await Promise.all(own.getWeights().map((weight) => weight.data()))).flatMap((data) => [
      ...data,
    ]);
    expect([...(await trained(own))]).toEqual(values);
    const set = await trained(() => {
      const model = tf.sequential({ layers: layers() });
      model.setWeights(own.getWeights());
      return model;
    });
    expect([...set]).toEqual(values);
  });

  test('functions of several runs may build models at a time', async () => {
    const layers = () => [tf.layers.flatten({ inputShape: [28, 28, 1] }), tf.layers.dense({ units: 10, activation: 'softmax' })]; // prettier-ignore
    const still = { ...task, epochs: 1, optimizer: { name: 'sgd', learningRate: 0 } } as const;
    const before = Object.getOwnPropertyDescriptor(tf.Variable.prototype, 'assign');
    const trained = async (model: Task['model']) =>
      (await train({ ...still, model }, { engine: honest() })).weights;
    const initial = await trained(() => tf.sequential({ layers: layers() }));
    const begins: (() => void)[] = [];
    const hasBegun = Array.from({ length: 2 }, () => new Promise<void>((resolve) => begins.push(resolve)));
    // The second function begins while the first one is in progress, and sets weights after the end of that run.
    const first = trained(async () => {
      begins[0]!();
      await hasBegun[1];
      return tf.sequential({ layers: layers() });
    });
    await hasBegun[0];
    const second = trained(async () => {
      begins[1]!();
      await first;
      const model = tf.sequential({ layers: layers() });
      model.setWeights(model.getWeights().map((weight) => tf.onesLike(weight)));
      return model;
    });
    const [seeded, set] = [await first, await second];
    expect(seeded).toEqual(initial);
    expect([...set].every((weight) => weight === 1)).toBe(true);
    expect(Object.getOwnPropertyDescriptor(tf.Variable.prototype, 'assign')).toEqual(before);
  });

  test('a codec of its own encodes the gradients', async () => {
    let encoded = 0;
    const codec: Codec = {
      ...float16,
      name: 'counting-float16',
      encodeWithResidual(...args) {
        encoded++;
        float16.encodeWithResidual(...args);
      },
    };
    const { history } = await train(task, { engine: honest(), codec });
    expect(history[0]).toMatchObject({ codec: 'counting-float16/float32' });
    expect(encoded).toBe(8);
    await expect(train(task, { engine: honest(), codec: { ...codec } })).rejects.toThrow(
      'There is a codec counting-float16 already. Give yours another name.',
    );
  });
});

describe('the end of a run', () => {
  test('a stopped run finishes its step and gives the model so far', async () => {
    const run = train({ ...task, epochs: 1_000 }, { engine: honest() });
    for await (const event of run) if (event.type === 'step' && event.step === 2) run.stop();
    const model = await run;
    expect(model.isStopped).toBe(true);
    expect(model.steps).toBeGreaterThanOrEqual(2);
    expect(model.steps).toBeLessThan(4_000);
    expect(Object.keys(model.scores!).sort()).toEqual(['val_accuracy', 'val_loss']);
    expect(model.scores!.val_loss).toBe(1);
  });

  test('a run that is stopped before its first step rejects with an AbortError', async () => {
    const controller = new AbortController();
    const run = train(task, { workers: 0, signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(run).rejects.toBe(reason);
    const stopped = train(task, { workers: 0 });
    stopped.stop();
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('an error is thrown by each loop and by the run', async () => {
    const run = train({ ...task, data: join(scratch, 'missing') }, { engine: honest() });
    const loops = [0, 1].map(async () => {
      for await (const event of run) expect(event).toBe(null);
    });
    for (const promise of [...loops, run]) await expect(promise).rejects.toThrow('missing');
    const late = run[Symbol.asyncIterator]();
    await expect(late.next()).rejects.toThrow('missing');
    expect(await late.next()).toEqual({ value: undefined, done: true });
  });

  test('a loop that is left does not stop the run, and a late one reads all epochs', async () => {
    const run = train(task, { engine: honest() });
    for await (const event of run) if (event.step === 1) break;
    await run;
    const events = [];
    for await (const event of run) events.push([event.type, event.epoch]);
    expect(events).toEqual([
      ['epoch', 1],
      ['epoch', 2],
    ]);
  });

  test('a loop that is slow misses steps but no epoch, and does not slow the run', async () => {
    const run = train({ ...task, epochs: 4 }, { engine: honest() });
    const events: [string, number, unknown][] = [];
    for await (const event of run) {
      events.push([event.type, event.epoch, event.step]);
      if (events.length === 1) await run;
    }
    expect(events.map(([type, epoch]) => `${type} ${epoch}`)).toEqual(
      ['step 1', ...[1, 2, 3, 4].flatMap((epoch) => [`step ${epoch}`, `epoch ${epoch}`])], // prettier-ignore
    );
    expect(events.filter(([type]) => type === 'step').slice(1).every(([, , step]) => step === 4)).toBe(true); // prettier-ignore
  });

  test('the history is resumed with the folder of the run', async () => {
    const out = join(scratch, 'run');
    const report = recordingReport();
    const first = train(task, { engine: honest(), out, reporter: report });
    await first;
    expect((await readdir(out)).sort()).toEqual(['checkpoints', 'config.json', 'history.jsonl', 'model']);
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({
      model: 'a topology',
      data: 'drawn-digits',
      workers: 0,
      batchSize: 16,
      token: 'none',
    });
    const resume = { engine: honest(), resume: out };
    await expect(train(task, resume)).rejects.toMatchObject({
      name: 'RunFinishedError',
      message: expect.stringMatching(/use epochs 4\.$/) as string,
    });
    await expect(train(task, { engine: honest(), out })).rejects.toThrow('Choose another folder with out.');
    await expect(train({ ...task, batchSize: 8, epochs: 3 }, resume)).rejects.toThrow(
      'Leave out batchSize 8 (the run has 16).',
    );
    await expect(train({ ...task, model: tinyTopology([28, 28, 1], 11), epochs: 3 }, resume)).rejects.toThrow(
      'Leave out model (the run has other weights).',
    );
    const again = await train({ ...task, epochs: 3 }, resume);
    expect(again.history.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    expect(again.steps).toBe(12);
  });
});

test('the scores of a run that early stopping ends are scores alone', async () => {
  const callbacks = [earlyStopping({ patience: 1, minDelta: 100 })];
  const model = await train({ ...task, epochs: 9, callbacks }, { engine: honest() });
  expect(model.history).toHaveLength(2);
  expect(Object.keys(model.scores!).sort()).toEqual(['val_accuracy', 'val_loss']);
});

describe('a coordinator', () => {
  test('serves one run after the other; a worker that came before the first waits for it', async () => {
    const coordinator = createCoordinator({ token: 's3cret', path: '/train' });
    onTestFinished(() => coordinator.close());
    const port = await coordinator.listen();
    expect(coordinator.urls).toEqual([`ws://127.0.0.1:${port}/train/`]);
    const early = joinRun(coordinator.urls[0]!, honest(), 's3cret');
    const options: TrainOptions = { coordinator, audit: false };
    const first = train({ ...task, epochs: 1 }, options);
    await expect(train(task, options)).rejects.toThrow('The coordinator serves a run already.');
    expect((await first).history).toHaveLength(1);
    // The same worker computes the second run, of another job.
    expect(coordinator.workerCount).toBe(1);
    const second = train({ ...task, model: undefined, batchSize: 8, epochs: 1 }, options);
    expect((await second).history).toMatchObject([{ workers: 1 }]);
    await coordinator.close('No more runs.');
    expect(await early).toBe('No more runs.');
  });

  test('sends its workers away at the end of its last run', async () => {
    const coordinator = createCoordinator({ maxRuns: 1 });
    onTestFinished(() => coordinator.close());
    await coordinator.listen();
    const worker = joinRun(coordinator.urls[0]!, honest());
    await train({ ...task, epochs: 1 }, { coordinator, audit: false });
    expect(await worker).toBe('The run is finished.');
  });

  describe('after a failed run', () => {
    const failing: Task = {
      ...task,
      callbacks: [{ onEpochEnd: () => Promise.reject(new Error('The disk is full.')) }],
    };

    test('keeps its workers for the next run, and ends them when it closes', async () => {
      const coordinator = createCoordinator();
      onTestFinished(() => coordinator.close());
      await coordinator.listen();
      const worker = joinRun(coordinator.urls[0]!, honest());
      const options: TrainOptions = { coordinator, audit: false };
      await expect(train(failing, options)).rejects.toThrow('The disk is full.');
      expect(coordinator.workerCount).toBe(1);
      expect((await train({ ...task, epochs: 1 }, options)).history).toHaveLength(1);
      await expect(train(failing, options)).rejects.toThrow('The disk is full.');
      await coordinator.close('No more runs.');
      expect(await worker).toBe('No more runs.');
    });

    test('that was its last one ends its workers', async () => {
      const coordinator = createCoordinator({ maxRuns: 1 });
      onTestFinished(() => coordinator.close());
      await coordinator.listen();
      const worker = joinRun(coordinator.urls[0]!, honest());
      await expect(train(failing, { coordinator, audit: false })).rejects.toThrow('The disk is full.');
      expect(await worker).toBe('The run has ended with an error.');
      expect(await joinRun(coordinator.urls[0]!, honest())).toBe('The run has ended with an error.');
    });

    test('that was its last one leaves them to wait for its program if that may be started again', async () => {
      const coordinator = createCoordinator({ maxRuns: 1, mayRestart: true });
      onTestFinished(() => coordinator.close());
      await coordinator.listen();
      const leave = new AbortController();
      const lines: string[] = [];
      const worker = joinRun(coordinator.urls[0]!, honest(), undefined, {
        waiting: (line) => void lines.push(line),
        signal: leave.signal,
      });
      await expect(train(failing, { coordinator, audit: false })).rejects.toThrow('The disk is full.');
      await expect.poll(() => lines.join('\n')).toContain('The run has ended with an error.');
      leave.abort();
      expect(await worker).toBe('left');
    });
  });

  test('that closes ends its run with an error, with workers or without, and has no further run', async () => {
    const events: string[] = [];
    const callbacks: Task['callbacks'] = [
      { onTrainEnd: () => void events.push('end'), onError: ({ message }) => void events.push(message) },
    ];
    const out = join(scratch, 'closed');
    const coordinator = createCoordinator();
    const run = train(
      { ...task, epochs: 1_000, callbacks },
      { coordinator, engine: honest(), audit: false, out },
    );
    for await (const { type } of run) if (type === 'epoch') break;
    await coordinator.close('The server restarts.');
    const sentence = 'The run has ended before its last step: The server restarts.';
    await expect(run).rejects.toThrow(sentence);
    expect(events).toEqual([sentence]);
    expect((await readdir(out)).sort()).toEqual(['checkpoints', 'config.json', 'history.jsonl', 'model']);
    const { steps } = run;
    const resumed = train({ data: dataset }, { engine: honest(), resume: out });
    for await (const { type } of resumed) if (type === 'step') resumed.stop();
    expect((await resumed).steps).toBeGreaterThan(steps);

    const lonely = createCoordinator();
    const waiting = train(task, { coordinator: lonely, onListening: () => void lonely.close() });
    await expect(waiting).rejects.toThrow(
      'The run has ended before its last step: The coordinator has closed.',
    );
    await expect(train(task, { coordinator: lonely })).rejects.toThrow('The coordinator was closed.');
    const early = createCoordinator();
    const model = async () => {
      await early.close();
      return tinyTopology([28, 28, 1], 10);
    };
    const preparing = train({ ...task, model }, { coordinator: early });
    await expect(preparing).rejects.toThrow('The coordinator was closed.');
  });

  test('keeps the port that runs name open, and needs one for host and https', async () => {
    const coordinator = createCoordinator({ token: 's3cret' });
    onTestFinished(() => coordinator.close());
    const port = await coordinator.listen();
    const short = { ...task, epochs: 1 };
    const out = join(scratch, 'port');
    for (const options of [{ out }, {}])
      await train(short, { coordinator, port, engine: honest(), audit: false, ...options });
    expect(coordinator.urls).toEqual([`ws://127.0.0.1:${port}`]);
    expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))).toMatchObject({ token: 'set' });
    for (const wrong of [{ host: '0.0.0.0' }, { https: true }]) {
      const [name] = Object.keys(wrong);
      await expect(train(short, { coordinator, ...wrong })).rejects.toThrow(
        `${name} needs port beside a coordinator`,
      );
    }
  });
});

test('a run whose workers have ended rejects when its loop has ended, and can be resumed', async () => {
  const out = join(scratch, 'ended');
  const events: string[] = [];
  const callbacks: Task['callbacks'] = [
    {
      onStepEnd: ({ step }) => void events.push(`step ${step}`),
      onTrainEnd: () => void events.push('end'),
      onError: ({ message }) => void events.push(message),
    },
  ];
  let answers = 0;
  const engine: Engine = {
    ...honest(),
    async load(...args) {
      const computer = await honest().load(...args);
      return {
        ...computer,
        gradient: (...gradient) =>
          ++answers > 2 ? Promise.reject(new Error('no memory')) : computer.gradient(...gradient),
      };
    },
  };
  await expect(train({ ...task, callbacks }, { engine, out })).rejects.toThrow(
    'The workers on this machine have ended:',
  );
  expect(events).toEqual(['step 1', 'step 2', expect.stringContaining('no memory')]);
  expect((await train({ data: dataset }, { engine: honest(), resume: out })).steps).toBe(8);
});

test.each<[object, object, string]>([
  [{ learningRate: 0.1 }, {}, 'The task has no setting learningRate. It has model, weights, data,'],
  [{ epochs: 'three' }, {}, 'The task: epochs is wrong: Expected number but received "three".'],
  [{ optimizer: 'adamm' }, {}, 'adamm'],
  [{ optimizer: { name: 'adam', decay: 1 } }, {}, 'The optimizer adam has no option decay.'],
  [{ metrics: 5 }, {}, 'metrics is 5; it takes a list, or entries by the names of outputs.'],
  [
    { model: undefined, weights: 'w.h5' },
    {},
    'weights needs model with the model that the weights belong to.',
  ],
  [{ data: { x: [[1], [2, 3]], y: [0, 1] } }, {}, 'arrays: x is nested unevenly'],
  [{ data: { x: [1, 2], y: [0] } }, {}, 'arrays: x has 2 samples, and y has 1.'],
  [
    {},
    { worker: 2 },
    "train has no setting worker. Did you mean 'workers'? It has workers, threads, engine,",
  ],
  [{}, { workers: -1 }, 'train: workers is wrong'],
  [{}, { engine: 'gpu' }, 'train: engine is wrong'],
  [{}, { codec: 'flaot16' }, 'received "flaot16". Did you mean \'float16\'?'],
  [{}, { coordinator: {} }, 'The coordinator was not made by createCoordinator.'],
  [{ exact: true }, { codec: 'int8' }, 'exact needs codec float32: int8 rounds'],
])('train refuses %j with %j in a sentence', async (more, options, message) => {
  const run = train({ ...task, ...more }, { workers: 0, ...options });
  await expect(run).rejects.toThrow(message);
});
