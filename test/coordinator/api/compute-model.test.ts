import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { computingModel } from '../../../coordinator/api/compute-model.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { stubEngine } from '../../support/stub-engine.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const samples = { x: [[[[1]], [[2]]]], y: [0] };
const stub: Engine = stubEngine({ perSampleMs: 0, tamper: (value) => value });

/** A model that computes, and what has happened to its engines. */
function testModel(load: Engine['load'], close: () => Promise<void> = () => Promise.resolve()) {
  const events: string[] = [];
  const openEngine = () => {
    events.push('open');
    return Promise.resolve({
      engine: { ...stub, load },
      close: () => {
        events.push('close');
        return close();
      },
    });
  };
  const model = computingModel(exampleJob, new Float32Array(6), openEngine, {}, () =>
    Promise.resolve(undefined),
  );
  /** Evaluates a sample while the engine's own timers run. */
  const evaluate = async (): Promise<unknown> => {
    const result = model.evaluate(samples).then(
      ({ loss }) => loss,
      (error: unknown) => (error as Error).message,
    );
    await vi.advanceTimersByTimeAsync(0);
    return result;
  };
  return { events, evaluate };
}

test('an engine that cannot load the model is closed, and the next call opens another', async () => {
  let fails = true;
  const load: Engine['load'] = (job) => (fails ? Promise.reject(new Error('no memory')) : stub.load(job));
  const { events, evaluate } = testModel(load);
  expect(await evaluate()).toBe('no memory');
  expect(events).toEqual(['open', 'close']);
  fails = false;
  expect(await evaluate()).toBe(1);
  expect(events).toEqual(['open', 'close', 'open']);
});

test('an engine stays open for calls that follow each other, and is closed after a second', async () => {
  const { events, evaluate } = testModel((job) => stub.load(job));
  for (let call = 0; call < 3; call++) {
    expect(await evaluate()).toBe(1);
    await vi.advanceTimersByTimeAsync(900);
  }
  expect(events).toEqual(['open']);
  await vi.advanceTimersByTimeAsync(100);
  expect(events).toEqual(['open', 'close']);
});

test('an engine that fails when it is released is closed all the same, and ends no program', async () => {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => void rejections.push(reason);
  process.on('unhandledRejection', onRejection);
  const load: Engine['load'] = async (job) => ({
    ...(await stub.load(job)),
    dispose() {
      throw new Error('The device was lost.');
    },
  });
  const { events, evaluate } = testModel(load, () => Promise.reject(new Error('The thread has ended.')));
  expect(await evaluate()).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(events).toEqual(['open', 'close']);
  // Node reports a rejection before the next turn of its loop.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onRejection);
  expect(rejections).toEqual([]);
});
