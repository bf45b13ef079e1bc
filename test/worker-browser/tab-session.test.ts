import { LOAD_LIMIT_MS, trustedCode } from '../../shared/worker/custom-code-access.ts';
import { readSamples } from '../../shared/data/dataset.ts';
import { expect, onTestFinished, test } from 'vitest';
import type { Engine } from '../../shared/engine/engine.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { createTabSession } from '../../worker-browser/tab-session.ts';
import type { OpenedEngine } from '../../worker-browser/engine/tab-engines.ts';
import type { FromTab } from '../../worker-browser/tab-messages.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { exampleBundle, exampleTopology, threeInputs } from '../support/custom-code.ts';
import { manualClock } from '../support/manual-clock.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 4 });
const numbers = Uint32Array.from({ length: 8 }, (_, i) => i);

/** An engine with a backend name of the test's choice; `lose` loses it. */
function opened(engine: Engine, backend: string): OpenedEngine & { lose(reason: string): void } {
  let lose = (_reason: string): void => undefined;
  const lost = new Promise<string>((resolve) => (lose = resolve));
  return {
    engine: { ...engine, info: { ...engine.info, backend } },
    backend: 'wasm',
    why: 'because',
    lost,
    lose,
    close: () => undefined,
  };
}

interface TabRun {
  /** Backends of the workers that have joined, in order. */
  readonly joined: string[];
  /** Messages that the session has posted. */
  readonly posted: FromTab[];
  gradient(): Promise<Float32Array>;
  /** Resolves once a worker of this backend has joined. */
  waitForBackend(backend: string): Promise<void>;
  readonly first: ReturnType<typeof opened>;
  pause(): void;
  close(): Promise<void>;
}

async function start(
  findFaster: () => Promise<OpenedEngine | null>,
  reopened: OpenedEngine,
  microShard?: number,
): Promise<TabRun> {
  const topology = tinyTopology([28, 28, 1], 10);
  const coordinator = await testCoordinator(dataset, { topology, batchSize: 8, microShard });
  const posted: FromTab[] = [];
  const joined: string[] = [];
  const first = opened(await wasmEngine(), 'first');
  coordinator.pool.subscribe({ joined: ({ engine }) => joined.push(engine.backend) });
  const tab = createTabSession({
    engines: {
      openFirst: () => Promise.resolve(first),
      findFaster,
      reopen: () => Promise.resolve(reopened),
      describe: () => 'measured',
    },
    wrapEngine: (engine) => engine,
    onComputed: () => undefined,
    share: () => 1,
    connect: connectWebSocket,
    sampleStore: { maxBytes: 0 },
    customCode: (url) => trustedCode([], url),
    clock: systemClock(globalThis),
    random: () => 0,
    onRetryNow: () => () => undefined,
    post: (message) => posted.push(message),
  });
  tab.join({ type: 'join', url: coordinator.url, name: 'tab', token: undefined });
  await waitForWorkersReady(coordinator, 1);
  return {
    joined,
    posted,
    first,
    pause: () => tab.pause(),
    async gradient() {
      const optimizer = fixedWeights(coordinator.initialWeights);
      const input = { step: 0 as Step, batch: readSamples(dataset.train, numbers), optimizer };
      return (await coordinator.stepRunner.run(input)).gradientSum.slice();
    },
    waitForBackend: (backend) =>
      new Promise((resolve) => {
        const check = (): void => {
          const workers = [...coordinator.pool.workers.values()];
          if (!workers.some(({ engine }) => engine.backend === backend)) return;
          stop();
          resolve();
        };
        const stop = coordinator.pool.subscribe({ joined: check });
        check();
      }),
    close: () => coordinator.close('done'),
  };
}

test('a tab whose engine is lost joins again with the next one', async () => {
  const next = opened(await wasmEngine(), 'next');
  const run = await start(() => Promise.resolve(null), next);
  const expected = await run.gradient();
  run.first.lose('the browser took the GPU away');
  await run.waitForBackend('next');
  expect(await run.gradient()).toEqual(expected);
  expect(run.joined).toEqual(['first', 'next']);
  expect(run.posted).toContainEqual({
    type: 'note',
    line: 'The engine was lost (the browser took the GPU away). Another one is being opened.',
  });
  expect(run.posted.map(({ type }) => type)).not.toContain('finished');
  await run.close();
});

test('a tab changes to a faster engine once it has found one', async () => {
  const faster = opened(await wasmEngine(), 'faster');
  const run = await start(() => Promise.resolve(faster), faster);
  const expected = await run.gradient();
  await run.waitForBackend('faster');
  expect(await run.gradient()).toEqual(expected);
  expect(run.joined).toEqual(['first', 'faster']);
  await run.close();
});

test('a tab keeps its engine in an exact run, which would refuse one with other bits', async () => {
  let hasSearched = false;
  const search = (): Promise<null> => {
    hasSearched = true;
    return Promise.resolve(null);
  };
  const run = await start(search, opened(await wasmEngine(), 'never'), 4);
  await run.gradient();
  run.pause();
  await expect.poll(() => run.posted.at(-1)).toEqual({ type: 'paused' });
  expect(hasSearched).toBe(false);
  expect(run.joined).toEqual(['first']);
  await run.close();
});

test('a tab that finds no faster engine reports its measurements', async () => {
  const run = await start(() => Promise.resolve(null), opened(await wasmEngine(), 'never'));
  await run.gradient();
  await expect
    .poll(() => run.posted.filter(({ type }) => type === 'engine').at(-1))
    .toMatchObject({ why: 'measured' });
  run.pause();
  await expect.poll(() => run.posted.at(-1)).toEqual({ type: 'paused' });
  await run.close();
});

test('the loss of an engine that was replaced before opens no other engine', async () => {
  const faster = opened(await wasmEngine(), 'faster');
  const run = await start(() => Promise.resolve(faster), opened(await wasmEngine(), 'reopened'));
  await run.gradient();
  await run.waitForBackend('faster');
  run.first.lose('the browser took the GPU away');
  await run.gradient();
  expect(run.joined).toEqual(['first', 'faster']);
  expect(run.posted.filter(({ type }) => type === 'note')).toEqual([]);
  await run.close();
});

test('a pause while the engine is being opened does not wait for it', async () => {
  const posted: FromTab[] = [];
  const engine = opened(await wasmEngine(), 'slow');
  let open = (): void => undefined;
  const opening = new Promise<OpenedEngine>((resolve) => (open = () => resolve(engine)));
  let connections = 0;
  const tab = createTabSession({
    engines: {
      openFirst: () => opening,
      findFaster: () => Promise.resolve(null),
      reopen: () => opening,
      describe: () => '',
    },
    wrapEngine: (inner) => inner,
    onComputed: () => undefined,
    share: () => 1,
    sampleStore: { maxBytes: 0 },
    customCode: (url) => trustedCode([], url),
    connect(url, events) {
      connections++;
      return connectWebSocket(url, events);
    },
    clock: systemClock(globalThis),
    random: () => 0,
    onRetryNow: () => () => undefined,
    post: (message) => posted.push(message),
  });
  const join = { type: 'join', url: 'ws://127.0.0.1:1', name: 'tab', token: undefined } as const;
  tab.join(join);
  tab.pause();
  await expect.poll(() => posted).toEqual([{ type: 'paused' }]);
  open();
  await expect.poll(() => posted.at(-1)?.type).toBe('engine');
  expect(connections).toBe(0);
  tab.join(join);
  await expect.poll(() => posted.at(-1)?.type).toBe('waiting');
  tab.pause();
  await expect.poll(() => posted.at(-1)?.type).toBe('paused');
});

/** A tab that takes part in a run with the custom code of an example. Its first engine loads it until it is closed. */
async function startStuck() {
  const custom = await exampleBundle();
  const settings = { topology: exampleTopology, custom, loss: 'asymmetricError', batchSize: 24 } as const;
  const coordinator = await testCoordinator(threeInputs, settings);
  onTestFinished(() => coordinator.close('done'));
  const posted: FromTab[] = [];
  const clock = manualClock();
  const inner = await wasmEngine();
  let close = (): void => undefined;
  const closed = new Promise<never>(
    (_, reject) => (close = () => reject(new Error('The engine is closed.'))),
  );
  closed.catch(() => undefined);
  let isClosed = false;
  const first: OpenedEngine = {
    ...opened({ ...inner, load: () => closed }, 'first'),
    close: () => {
      isClosed = true;
      close();
    },
  };
  const tab = createTabSession({
    engines: {
      openFirst: () => Promise.resolve(first),
      findFaster: () => Promise.resolve(null),
      reopen: () => Promise.resolve(opened(inner, 'second')),
      describe: () => '',
    },
    wrapEngine: (engine) => engine,
    onComputed: () => undefined,
    share: () => 1,
    connect: connectWebSocket,
    sampleStore: { maxBytes: 0 },
    customCode: (url) => trustedCode([custom.code.hash], url),
    clock,
    random: () => 0,
    onRetryNow: () => () => undefined,
    post: (message) => posted.push(message),
  });
  const join = () => tab.join({ type: 'join', url: coordinator.url, name: 'tab', token: undefined });
  join();
  await expect.poll(() => posted.at(-1)?.type).toBe('building');
  return { coordinator, posted, clock, tab, join, isClosed: () => isClosed };
}
const ENDED = { type: 'note', line: 'The engine did not stop computing, so it was ended.' };

test('a tab ends an engine that custom code does not leave, says so, and joins again with another one', async () => {
  const run = await startStuck();
  await run.clock.advance(LOAD_LIMIT_MS);
  await expect.poll(() => run.posted.at(-1)?.type).toBe('refused');
  expect(run.posted.at(-1)).toMatchObject({
    reason: 'The custom code of the run was not loaded within 30 s.',
  });
  expect(run.posted).toContainEqual(ENDED);
  expect(run.isClosed()).toBe(true);
  run.join();
  await waitForWorkersReady(run.coordinator, 1);
  const [worker] = [...run.coordinator.pool.workers.values()];
  expect(worker!.engine.backend).toBe('second');
  run.tab.pause();
  await expect.poll(() => run.posted.at(-1)?.type).toBe('paused');
});

test('a pause waits for custom code for a while only', async () => {
  const run = await startStuck();
  run.tab.pause();
  await run.clock.advance(9_999);
  expect(run.isClosed()).toBe(false);
  await run.clock.advance(1);
  await expect.poll(() => run.posted.at(-1)?.type).toBe('paused');
  expect(run.posted).toContainEqual(ENDED);
  expect(run.isClosed()).toBe(true);
});
