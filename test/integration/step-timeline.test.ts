import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Engine } from '../../shared/engine/engine.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/frame.ts';
import { formatMs } from '../../worker-browser/page/format.ts';
import { initialRunState, reduceRun } from '../../worker-browser/page/run-state.ts';
import { createTimelineView } from '../../worker-browser/page/step-timeline.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, trainObserved } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 1_280, testCount: 64 });

/** The engine on a device that needs this much longer for a shard. */
const slower = (engine: Engine, ms: number): Engine => ({
  ...engine,
  async load(...job) {
    const computer = await engine.load(...job);
    return {
      ...computer,
      setWeights: (...weights) => computer.setWeights(...weights),
      prepare: (...shard) => computer.prepare(...shard),
      evaluate: (shard) => computer.evaluate(shard),
      predict: (...inputs) => computer.predict(...inputs),
      dispose: () => computer.dispose(),
      async gradient(...shard) {
        await new Promise((resolve) => setTimeout(resolve, ms));
        return computer.gradient(...shard);
      },
    };
  },
});

test("the page's timeline of a step has the figures of a trace of that step's answers", async () => {
  const coordinator = await testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    batchSize: 64,
    epochs: 2,
  });
  /** By step, from 1: the figures that each worker has reported, and how long its shard took, as the bench records them. */
  const traces = new Map<number, { id: string; samples: number; computeMs: number }[]>();
  coordinator.pool.subscribe({
    answered({ id }, message) {
      if (message.type !== 'gradient' || message.result === undefined) return;
      const { samples, computeMs } = message.result;
      const trace = traces.get(message.step + 1) ?? [];
      traces.set(message.step + 1, [...trace, { id, samples, computeMs }]);
    },
  });
  const workers = [
    attachWorker(coordinator.url, 'fast', await wasmEngine()),
    attachWorker(coordinator.url, 'slow', slower(await wasmEngine(), 30)),
  ];
  await waitForWorkersReady(coordinator, 2);

  let state = initialRunState;
  const states = [state];
  const socket = new WebSocket(coordinator.url);
  socket.on('open', () => socket.send(frameFromWorker({ type: 'watch', protocol: 2 })));
  socket.on('message', (data: Buffer) => {
    state = reduceRun(state, { type: 'message', message: parseFromCoordinator(data).message });
    states.push(state);
  });
  const closed = new Promise((resolve) => socket.on('close', resolve));
  await new Promise((resolve) => socket.on('open', resolve));
  await trainObserved(coordinator, dataset, undefined, 20);
  await coordinator.close('done');
  await Promise.all([closed, ...workers.map(({ ended }) => ended)]);

  const seen = [
    ...new Map(
      states.flatMap((each) => (each.timeline === null ? [] : [[each.timeline.step, each]])),
    ).values(),
  ];
  expect(seen.length).toBeGreaterThan(1);
  for (const each of seen) {
    const { step, shards, durationMs } = each.timeline!;
    const answered = shards.filter(({ endMs }) => endMs !== null);
    const figures = answered.map(({ id, samples, computeMs }) => ({ id, samples, computeMs }));
    // The trace also has late answers to duplicates, which the step did not wait for.
    expect(traces.get(step)).toEqual(expect.arrayContaining(figures));
    expect(figures.reduce((sum, { samples }) => sum + samples, 0)).toBeGreaterThanOrEqual(64);
    for (const { startMs, computeMs, endMs } of answered) {
      expect(endMs! - startMs).toBeGreaterThanOrEqual(computeMs - 1);
      expect(endMs).toBeLessThanOrEqual(durationMs);
    }
    const view = createTimelineView(each)!;
    expect(view.title).toBe(`Step ${step}: ${formatMs(durationMs)}`);
    for (const { id, computeMs } of answered) {
      // The bar of a worker with several shards names each of them.
      if (shards.filter((shard) => shard.id === id).length > 1) continue;
      expect(view.rows.find(({ key }) => key === id)!.text).toContain(`computes ${formatMs(computeMs)}`);
    }
  }
}, 60_000);
