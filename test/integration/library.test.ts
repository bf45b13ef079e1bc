import { expect, test } from 'vitest';
import { createJob, evaluate, startCoordinator, train, type JobOptions } from '../../coordinator/index.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { fixedRandom } from '../support/property.ts';
import { stubEngine } from '../support/stub-engine.ts';
import { tinyTopology } from '../support/test-coordinator.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
const topology = tinyTopology([28, 28, 1], 10);
const nothing = (): void => undefined;

/** Engine whose loss is the first weight. */
function firstWeightEngine(): Engine {
  const stub = stubEngine({ perSampleMs: 0, tamper: (value) => value });
  return {
    ...stub,
    async load(...args) {
      let first = NaN;
      return {
        ...(await stub.load(...args)),
        setWeights: (weights) => void (first = weights[0] as number),
        evaluate: ({ sampleNumbers: { length } }) =>
          Promise.resolve({ lossSum: first * length, metrics: [0] }),
      };
    },
  };
}

test('evaluates the weights that are passed, also one after the other, with the penalty of their model', async () => {
  const created = await createJob(dataset, { topology });
  const { initialWeights } = created;
  const tensorRules = [{ tensor: 0, penalty: { l1: 1, l2: 0 } }];
  const size = created.job.layout[0]!.shape.reduce((product, side) => product * side, 1);
  const job = { ...created.job, optimizer: { ...created.job.optimizer, tensorRules } };
  const stop = new AbortController();
  const coordinator = await startCoordinator({ job, signal: stop.signal });
  const worker = runWorker({
    url: coordinator.urls[0] as string,
    name: 'ann',
    engine: firstWeightEngine(),
    connect: connectWebSocket,
    clock: systemClock(globalThis),
    random: fixedRandom(),
    report: { joined: nothing, computed: nothing, waiting: nothing, note: nothing },
    signal: new AbortController().signal,
  });
  for (const weight of [2, 5])
    expect(await evaluate(coordinator, { dataset, weights: initialWeights.map(() => weight) })).toEqual({
      loss: weight + size * weight,
      accuracy: 0,
    });
  await coordinator.close();
  await worker;
});

test('a run with a moving average that is stopped before its first step has its initial weights', async () => {
  const { job, initialWeights } = await createJob(dataset, { topology, optimizer: { name: 'sgd', ema: {} } });
  const stop = new AbortController();
  const coordinator = await startCoordinator({ job, signal: stop.signal });
  stop.abort();
  const { weights, steps } = await train(coordinator, { dataset, weights: initialWeights });
  expect(steps).toBe(0);
  expect(weights).toEqual(initialWeights);
  await coordinator.close();
});

test.each<[object, string]>([
  [{ learningRate: 0.1 }, 'createJob has no option learningRate. It has topology, weights, compileConfig,'],
  [{ epochs: 'three' }, 'The option epochs of createJob is wrong: Expected number but received "three".'],
  [{ batchSize: 0 }, 'The option batchSize of createJob is wrong: '],
  [{ optimizer: 'adam' }, 'The option optimizer of createJob is wrong: Expected Object but received "adam".'],
  [{ optimizer: {} }, 'The option optimizer.name of createJob is wrong'],
  [{ optimizer: { name: 'adam', decay: 1 } }, 'The optimizer adam has no option decay.'],
  [{ metrics: 5 }, 'metrics is 5; it takes a list, or entries by the names of outputs.'],
])('createJob refuses %j with a sentence', async (options, message) => {
  await expect(createJob(dataset, options as JobOptions)).rejects.toThrow(message);
});
