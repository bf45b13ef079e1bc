import { expect, test } from 'vitest';
import type { Engine } from '../../shared/engine/engine.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { createTabSession } from '../../worker-browser/tab-session.ts';
import type { OpenedEngine } from '../../worker-browser/engine/tab-engines.ts';
import type { FromTab } from '../../worker-browser/tab-messages.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 4 });
const numbers = Uint32Array.from({ length: 8 }, (_, i) => i);

/** An engine under a name, that can be lost. */
function opened(
  engine: Engine,
  backend: string,
  close: () => void = () => undefined,
): OpenedEngine & { lose(reason: string): void } {
  let lose = (_reason: string): void => undefined;
  const lost = new Promise<string>((resolve) => (lose = resolve));
  return {
    engine: { ...engine, info: { ...engine.info, backend } },
    backend: 'wasm',
    why: 'because',
    lost,
    lose,
    close,
  };
}

interface Rejoinable {
  /** Names of the backends that have joined. */
  readonly joined: string[];
  readonly said: FromTab[];
  gradient(): Promise<Float32Array>;
  /** Resolves when the worker of this backend is ready. */
  present(backend: string): Promise<void>;
  readonly first: ReturnType<typeof opened>;
  pause(): void;
  close(): Promise<void>;
}

async function start(
  findFaster: () => Promise<OpenedEngine | null>,
  again: OpenedEngine,
): Promise<Rejoinable> {
  const topology = tinyTopology([28, 28, 1], 10);
  const coordinator = await testCoordinator(dataset, { topology, batchSize: 8 });
  const said: FromTab[] = [];
  const joined: string[] = [];
  const first = opened(await wasmEngine(), 'first');
  coordinator.pool.subscribe({ joined: ({ engine }) => joined.push(engine.backend) });
  const tab = createTabSession({
    engines: {
      openFirst: () => Promise.resolve(first),
      findFaster,
      reopen: () => Promise.resolve(again),
      describe: () => 'measured',
    },
    wrapEngine: (engine) => engine,
    onComputed: () => undefined,
    share: () => 1,
    connect: connectWebSocket,
    clock: systemClock(globalThis),
    random: () => 0,
    onRetryNow: () => () => undefined,
    post: (message) => said.push(message),
  });
  tab.join({ type: 'join', url: coordinator.url, name: 'tab', token: undefined });
  await waitForWorkersReady(coordinator, 1);
  return {
    joined,
    said,
    first,
    pause: () => tab.pause(),
    async gradient() {
      const optimizer = fixedWeights(coordinator.initialWeights);
      const input = { step: 0 as Step, samples: numbers, split: dataset.train, optimizer };
      return (await coordinator.stepRunner.run(input)).gradientSum.slice();
    },
    present: (backend) =>
      new Promise((resolve) => {
        const look = (): void => {
          const there = [...coordinator.pool.workers.values()].some(
            ({ engine }) => engine.backend === backend,
          );
          if (!there) return;
          stop();
          resolve();
        };
        const stop = coordinator.pool.subscribe({ joined: look });
        look();
      }),
    close: () => coordinator.close('done'),
  };
}

test('a tab whose engine is lost joins again with the next one', async () => {
  const next = opened(await wasmEngine(), 'next');
  const run = await start(() => Promise.resolve(null), next);
  const expected = await run.gradient();
  run.first.lose('the browser took the GPU away');
  await run.present('next');
  expect(await run.gradient()).toEqual(expected);
  expect(run.joined).toEqual(['first', 'next']);
  expect(run.said).toContainEqual({
    type: 'note',
    line: 'The engine was lost (the browser took the GPU away). Another one is being opened.',
  });
  expect(run.said.map(({ type }) => type)).not.toContain('finished');
  await run.close();
});

test('a tab changes to a better engine once it has one', async () => {
  const better = opened(await wasmEngine(), 'better');
  const run = await start(() => Promise.resolve(better), better);
  const expected = await run.gradient();
  await run.present('better');
  expect(await run.gradient()).toEqual(expected);
  expect(run.joined).toEqual(['first', 'better']);
  await run.close();
});

test('a tab that has none says what it measured', async () => {
  const run = await start(() => Promise.resolve(null), opened(await wasmEngine(), 'never'));
  await run.gradient();
  await expect
    .poll(() => run.said.filter(({ type }) => type === 'engine').at(-1))
    .toMatchObject({ why: 'measured' });
  run.pause();
  await expect.poll(() => run.said.at(-1)).toEqual({ type: 'paused' });
  await run.close();
});

test('an engine that is lost after it was replaced does not bring another one', async () => {
  const better = opened(await wasmEngine(), 'better');
  const again: string[] = [];
  const run = await start(
    () => Promise.resolve(better),
    opened(await wasmEngine(), 'again', () => again.push('closed')),
  );
  await run.gradient();
  await run.present('better');
  run.first.lose('the browser took the GPU away');
  await run.gradient();
  expect(run.joined).toEqual(['first', 'better']);
  expect(run.said.filter(({ type }) => type === 'note')).toEqual([]);
  await run.close();
});

test('who pauses while the engine is being opened does not wait for it', async () => {
  const said: FromTab[] = [];
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
    connect(url, events) {
      connections++;
      return connectWebSocket(url, events);
    },
    clock: systemClock(globalThis),
    random: () => 0,
    onRetryNow: () => () => undefined,
    post: (message) => said.push(message),
  });
  const join = { type: 'join', url: 'ws://127.0.0.1:1', name: 'tab', token: undefined } as const;
  tab.join(join);
  tab.pause();
  await expect.poll(() => said).toEqual([{ type: 'paused' }]);
  open();
  await expect.poll(() => said.at(-1)?.type).toBe('engine');
  expect(connections).toBe(0);
  tab.join(join);
  await expect.poll(() => said.at(-1)?.type).toBe('waiting');
  tab.pause();
  await expect.poll(() => said.at(-1)?.type).toBe('paused');
});
