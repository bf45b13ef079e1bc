import { afterEach, describe, expect, test } from 'vitest';
import type { JobSettings } from '../../../coordinator/model/model.ts';
import { fixedWeights } from '../../../coordinator/optimizer/fixed-weights.ts';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import type { StepResult } from '../../../coordinator/training/step.ts';
import { readSamples } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { parseFromCoordinator } from '../../../shared/protocol/frame.ts';
import type { FromCoordinator, Step } from '../../../shared/protocol/messages.ts';
import type { Connect } from '../../../shared/protocol/transport.ts';
import { systemClock } from '../../../shared/util/clock.ts';
import { locateInTurn, runWorker } from '../../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../../worker-node/connect-websocket.ts';
import { attachRelay, type TestRelay } from '../../support/relay.ts';
import { roundingEngine } from '../../support/rounding-engine.ts';
import { openStubEngine, stubEngine, stubGradient, type StubSettings } from '../../support/stub-engine.ts';
import {
  deepTopology,
  testCoordinator,
  tinyTopology,
  waitForWorkerReady,
  waitForWorkersReady,
  type TestCoordinator,
} from '../../support/test-coordinator.ts';
import {
  attachWorker,
  trainToEnd,
  withoutTimings,
  type LocalWorker,
  type RunResult,
} from '../../support/training-run.ts';

const BATCH = 120;
const dataset = syntheticDigits({ seed: 1, trainCount: 1000, testCount: 301 });
const batch = Uint32Array.from({ length: BATCH }, (_, i) => 7 * i);
const tiny: Partial<JobSettings> = { epochs: 2, topology: tinyTopology([28, 28, 1], 10) };

let root: TestCoordinator;
let relays: TestRelay[] = [];
let workers: LocalWorker[] = [];

afterEach(async () => {
  await root.close('done');
  for (const each of [...relays, ...workers]) each.leave();
  await Promise.all([...relays, ...workers].map(({ ended }) => ended));
  relays = [];
  workers = [];
});

function worker(
  url: string,
  engine: Engine = roundingEngine(),
  connect: Connect = connectWebSocket,
): LocalWorker {
  const attached = attachWorker(url, `w${workers.length}`, engine, connect);
  workers.push(attached);
  return attached;
}

async function relay(url: string, options: Parameters<typeof attachRelay>[2] = {}): Promise<TestRelay> {
  const attached = await attachRelay(url, `relay-${relays.length}`, options);
  relays.push(attached);
  return attached;
}

/** Gradient of a step of the root. */
const gradient = (step: number, weights = root.initialWeights): Promise<StepResult> =>
  root.stepRunner.run({
    step: step as Step,
    batch: readSamples(dataset.train, batch),
    optimizer: fixedWeights(weights),
  });

/** Whether a sum is that of honest stub engines over the batch, each sample once. */
function isRight({ gradientSum, lossSum }: StepResult, step: number): boolean {
  const positions = Array.from({ length: 50 }, (_, i) => Math.floor((i * (gradientSum.length - 1)) / 49));
  return (
    lossSum === BATCH &&
    positions.every((position) => gradientSum[position] === stubGradient(step, batch, position))
  );
}

const honest = (): StubSettings => ({ perSampleMs: 0.01, tamper: (value) => value });
const present = ({ pool }: Pick<TestCoordinator, 'pool'>): string[] =>
  [...pool.workers.values()].map(({ name }) => name).toSorted();
/** Resolves when a coordinator's worker leaves. */
const workerLeaves = ({ pool }: TestCoordinator): Promise<string> =>
  new Promise((resolve) => {
    const stop = pool.subscribe({
      left({ name }) {
        stop();
        resolve(name);
      },
    });
  });

describe('an exact run', () => {
  const exact = { ...tiny, microShard: 16 };
  const expectSame = (result: RunResult, expected: RunResult): void => {
    expect(result.history.map(withoutTimings)).toEqual(expected.history.map(withoutTimings));
    expect(Buffer.from(result.weights.buffer).equals(Buffer.from(expected.weights.buffer))).toBe(true);
  };

  test('has the bits of one worker with two relays, of which one has another below it', async () => {
    root = await testCoordinator(dataset, exact);
    worker(root.url);
    await waitForWorkersReady(root, 1);
    const expected = await trainToEnd(root, dataset);
    await root.close('done');

    root = await testCoordinator(dataset, exact);
    const first = await relay(root.url);
    const second = await relay(root.url);
    const nested = await relay(second.url);
    const engines = [0.05, 0.02, 0.05, 0.02, 0.05].map((perSampleMs) => roundingEngine({ perSampleMs }));
    [first, first, second, nested, nested].forEach(({ url }, i) => worker(url, engines[i]));
    await waitForWorkersReady(root, 2);
    expectSame(await trainToEnd(root, dataset), expected);
  });

  test('refuses a relay whose workers compute other bits, and says why', async () => {
    root = await testCoordinator(dataset, exact);
    worker(root.url);
    await waitForWorkersReady(root, 1);
    await gradient(0);
    const other = await relay(root.url);
    worker(other.url, roundingEngine({ build: 1 }));
    expect(await other.ended).toMatch(
      /this engine computes other bits: use the same engine, with --threads 1/,
    );
  });

  test('keeps workers away from a relay that compute other bits than its first', async () => {
    root = await testCoordinator(dataset, exact);
    const { url } = await relay(root.url);
    worker(url);
    await waitForWorkersReady(root, 1);
    expect(await worker(url, roundingEngine({ build: 1 })).ended).toMatch(/this engine computes other bits/);
  });
});

describe('a standard run', () => {
  test('counts every sample once, and gives workers the weights of each step, also after going back', async () => {
    root = await testCoordinator(dataset, tiny);
    const direct = roundingEngine();
    const { url } = await relay(root.url);
    worker(root.url);
    worker(url);
    worker(url);
    await waitForWorkersReady(root, 2);
    const computer = await direct.load(root.job);
    const expected = new Float32Array(root.initialWeights.length);
    for (const [i, step] of [0, 1, 2, 1, 1, 7].entries()) {
      const weights = root.initialWeights.map((value) => value * (1 + i));
      if (i > 2) root.stepRunner.rewind();
      const { gradientSum, lossSum } = await gradient(step, weights);
      computer.setWeights(weights);
      const own = await computer.gradient(step as Step, readSamples(dataset.train, batch), expected);
      expect(lossSum / own.lossSum).toBeCloseTo(1, 5);
      const errors = expected.map((value, position) => Math.abs(gradientSum[position]! - value));
      expect(Math.max(...errors)).toBeLessThan(1e-5 * Math.max(...expected.map(Math.abs)));
    }
  });

  test('measures the test data by all workers of a relay', async () => {
    root = await testCoordinator(dataset, tiny);
    const { url, host } = await relay(root.url);
    const attached = [0, 1, 2].map(() => worker(url, stubEngine(honest())));
    await expect.poll(() => host.workerCount).toBe(attached.length);
    await waitForWorkersReady(root, 1);
    const evaluated = await root.stepRunner.evaluate({
      step: 3 as Step,
      weights: root.initialWeights,
      split: dataset.test,
    });
    expect(evaluated.lossSum).toBe(301);
  });

  test('gets buckets of gradients through a relay, and sends the next weights through it, before a shard is done', async () => {
    root = await testCoordinator(dataset, { ...tiny, epochs: 1, topology: deepTopology, buckets: true });
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const inner = roundingEngine();
    const engine: Engine = {
      ...inner,
      async load(job) {
        const computer = await inner.load(job);
        return {
          ...computer,
          async gradient(step, shard, values, bucket) {
            const result = await computer.gradient(step, shard, values);
            bucket?.onReady();
            if (step === 0) await finished;
            return result;
          },
        };
      },
    };
    const received: FromCoordinator[] = [];
    const connect: Connect = (url, events) =>
      connectWebSocket(url, {
        ...events,
        onFrame(frame) {
          const { message } = parseFromCoordinator(frame);
          received.push(message);
          // Four buckets of the next weights have arrived while the worker still computes its first shard.
          if (received.filter(({ type }) => type === 'weights').length === 1 + 4) finish();
          events.onFrame(frame);
        },
      });
    const { url } = await relay(root.url, { buckets: true });
    worker(url, engine, connect);
    await waitForWorkersReady(root, 1);
    const { weights } = await trainToEnd(root, dataset);
    await root.close('done');

    root = await testCoordinator(dataset, { ...tiny, epochs: 1, topology: deepTopology, buckets: true });
    worker(root.url);
    await waitForWorkersReady(root, 1);
    const direct = await trainToEnd(root, dataset);
    expect(Buffer.from(weights.buffer).equals(Buffer.from(direct.weights.buffer))).toBe(true);
  });
});

describe('a relay without workers', () => {
  test('takes no part in a run until one joins', async () => {
    root = await testCoordinator(dataset, tiny);
    worker(root.url, stubEngine(honest()));
    const { url } = await relay(root.url);
    await waitForWorkersReady(root, 1);
    expect(isRight(await gradient(0), 0)).toBe(true);
    expect(present(root)).toEqual(['w0']);
    worker(url, stubEngine(honest()));
    await waitForWorkerReady(root, 'relay-0');
    expect(isRight(await gradient(1), 1)).toBe(true);
  });

  test('leaves at once if its last worker does, and its samples are computed by others', async () => {
    root = await testCoordinator(dataset, tiny);
    const { url, lines } = await relay(root.url);
    worker(root.url, stubEngine(honest()));
    let release = (): void => undefined;
    const hanging = { ...honest(), hang: new Promise<void>((resolve) => (release = resolve)) };
    let isAssigned = (): void => undefined;
    const assigned = new Promise<void>((resolve) => (isAssigned = resolve));
    const connect: Connect = (address, events) =>
      connectWebSocket(address, {
        ...events,
        onFrame(frame) {
          if (parseFromCoordinator(frame).message.type === 'shard') isAssigned();
          events.onFrame(frame);
        },
      });
    const only = worker(url, stubEngine(hanging), connect);
    await waitForWorkersReady(root, 2);
    const left = workerLeaves(root);
    const first = gradient(0);
    await assigned;
    only.leave();
    expect(isRight(await first, 0)).toBe(true);
    expect(await left).toBe('relay-0');
    release();
    expect(lines).toContain('! No worker is left: the relay leaves the run until one joins.');
    worker(url, stubEngine(honest()));
    await waitForWorkerReady(root, 'relay-0');
    expect(isRight(await gradient(1), 1)).toBe(true);
  });
});

describe('a wrong answer', () => {
  test.each([false, true])(
    'of a worker below a relay bans that worker and not the relay (in buckets: %s)',
    async (buckets) => {
      root = await testCoordinator(dataset, {
        ...tiny,
        topology: deepTopology,
        buckets,
        openOwnEngine: openStubEngine,
      });
      const { url, lines, host } = await relay(root.url, {
        buckets,
        openCoordinatorEngine: openStubEngine,
        audit: 1,
      });
      worker(root.url, stubEngine(honest()));
      const settings = honest();
      for (const each of [honest(), settings, honest()]) worker(url, stubEngine(each));
      await waitForWorkersReady(root, 2);
      await expect.poll(() => host.workerCount).toBe(3);
      for (let step = 0; step < 4; step++) expect(isRight(await gradient(step), step)).toBe(true);
      settings.tamper = (value) => -3 * value;
      for (let step = 4; step < 12; step++) expect(isRight(await gradient(step), step)).toBe(true);
      expect(await workers[2]!.ended).toMatch(
        /The gradient in its answer for \d+ samples of step \d+ differs/,
      );
      expect(lines.filter((line) => /^! w2 .* is banned/.test(line))).toHaveLength(1);
      await waitForWorkerReady(root, 'relay-0');
      expect(present(root)).toEqual(['relay-0', 'w0']);
    },
  );

  test('of a worker beside a relay changes no weights below it, although some were sent ahead', async () => {
    root = await testCoordinator(dataset, {
      ...tiny,
      topology: deepTopology,
      buckets: true,
      audit: 1,
      openOwnEngine: () => Promise.resolve({ engine: roundingEngine(), close: () => Promise.resolve() }),
    });
    const { url } = await relay(root.url, { buckets: true });
    let factor = 1;
    const inner = roundingEngine();
    const liar: Engine = {
      ...inner,
      async load(job) {
        const computer = await inner.load(job);
        return {
          ...computer,
          async gradient(...shard) {
            const result = await computer.gradient(...shard);
            const values = shard[2];
            for (const i of values.keys()) values[i]! *= factor;
            return result;
          },
        };
      },
    };
    worker(url);
    worker(url);
    worker(root.url, liar);
    await waitForWorkersReady(root, 2);
    const optimizer = createOptimizer(root.job.optimizer, layoutOf(root.job.layout));
    optimizer.weights.set(root.initialWeights);
    const computer = await inner.load(root.job);
    const expected = new Float32Array(optimizer.weights.length);
    for (let step = 0; step < 8; step++) {
      factor = step === 5 ? -1 : 1;
      const input = { step: step as Step, batch: readSamples(dataset.train, batch) };
      computer.setWeights(optimizer.weights);
      await computer.gradient(input.step, input.batch, expected);
      const { gradientSum } = await root.stepRunner.run({ ...input, optimizer });
      const errors = expected.map((value, position) => Math.abs(gradientSum[position]! - value));
      expect(Math.max(...errors), `step ${step}`).toBeLessThan(1e-5 * Math.max(...expected.map(Math.abs)));
    }
    expect(await workers[2]!.ended).toMatch(/The gradient in its answer/);
  });

  test('of a relay bans the relay, which ends with the reason', async () => {
    root = await testCoordinator(dataset, { ...tiny, openOwnEngine: openStubEngine });
    // It checks no answers, so that those of its worker are its own.
    const { url, ended } = await relay(root.url);
    worker(root.url, stubEngine(honest()));
    worker(url, stubEngine({ ...honest(), tamper: (value) => -value }));
    await waitForWorkersReady(root, 2);
    for (let step = 0; step < 3; step++) expect(isRight(await gradient(step), step)).toBe(true);
    expect(await ended).toMatch(/cannot take part in the run at .*: The gradient in its answer/);
    expect(present(root)).toEqual(['w0']);
  });
});

describe('the end', () => {
  test('of the run ends the relay and its workers, with the reason', async () => {
    root = await testCoordinator(dataset, tiny);
    const { url, ended } = await relay(root.url);
    const below = worker(url);
    await waitForWorkersReady(root, 1);
    await root.close('The run is finished.');
    expect(await ended).toBe('The run is finished.');
    expect(await below.ended).toBe('The run is finished.');
  });

  test('of the run is no abort of the relay, also if its reason reads like one', async () => {
    root = await testCoordinator(dataset, tiny);
    const { url, ended } = await relay(root.url);
    const below = worker(url);
    await waitForWorkersReady(root, 1);
    await root.close('left');
    expect(await ended).toBe('left');
    expect(await below.ended).toBe('left');
  });

  test('of a relay leaves its workers to look for another place', async () => {
    root = await testCoordinator(dataset, tiny);
    const above = await relay(root.url);
    const below = worker(above.url);
    await waitForWorkersReady(root, 1);
    above.leave();
    expect(await above.ended).toBe('left');
    expect(present(root)).toEqual([]);
    await expect.poll(() => below.notes.join('\n')).toMatch(/The relay has left.*Trying again/);
  });
});

test('a worker that knows other places goes to the next one when its relay is lost', async () => {
  root = await testCoordinator(dataset, tiny);
  const lost = await relay(root.url);
  const { url } = lost;
  const leaving = new AbortController();
  const places = [{ url }, { url: root.url }];
  const ended = runWorker({
    url,
    name: 'mobile',
    engine: roundingEngine(),
    connect: connectWebSocket,
    clock: systemClock(globalThis),
    random: () => 0,
    report: {
      joined: () => undefined,
      computed: () => undefined,
      waiting: () => undefined,
      note: () => undefined,
    },
    locate: locateInTurn(places),
    signal: leaving.signal,
  });
  await waitForWorkerReady(root, 'relay-0');
  await lost.kill();
  await waitForWorkerReady(root, 'mobile');
  expect(present(root)).toEqual(['mobile']);
  leaving.abort();
  await ended;
});

test('a relay needs the token above, and asks its own workers for one', async () => {
  root = await testCoordinator(dataset, { ...tiny, token: 's3cret' });
  expect(await (await attachRelay(root.url, 'without')).ended).toMatch(/This run needs a token/);
  const { url } = await relay(root.url, { token: 's3cret' });
  expect(await worker(url).ended).toMatch(/This run needs a token/);
});
