import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { computingWorker, lose, nothingLeft, oneSample, sixWeights } from './connection-harness.ts';
import { startWorker, type RunningWorker } from './session-harness.ts';

describe('a worker whose signal aborts', () => {
  const messages = ['leaving'];
  it.each<[string, (worker: RunningWorker) => Promise<void>, string[]]>([
    ['while it connects', () => Promise.resolve(), messages],
    ['while it loads', (worker) => worker.coordinator.link.send(exampleWelcome), messages],
    ['between two connections', (worker) => lose(worker), []],
  ])('leaves %s', async (_, prepare, expected) => {
    const worker = await startWorker((_coordinator, engine) => {
      engine.onLoad = () => new Promise((resolve) => setImmediate(resolve));
    });
    await prepare(worker);
    await worker.abort();
    expect(worker.ended).toEqual({ outcome: 'returned', sentence: 'left' });
    expect(worker.coordinator.types.slice(1).filter((type) => type !== 'ready')).toEqual(expected);
    expect(worker.left).toEqual(nothingLeft);
  });

  it('leaves before its connection opens', async () => {
    const worker = await startWorker((coordinator) => (coordinator.hanging = true));
    await worker.abort();
    expect(worker.ended?.sentence).toBe('left');
    expect(worker.left).toEqual(nothingLeft);
  });

  it('does not report that it has joined after it has left', async () => {
    let built = (): void => undefined;
    const worker = await startWorker((_, engine) => {
      engine.onLoad = () => new Promise((resolve) => (built = resolve));
    });
    await worker.coordinator.link.send(exampleWelcome);
    await worker.abort();
    built();
    await settle();
    expect(worker.lines).toEqual([]);
    expect(worker.ended?.sentence).toBe('left');
    expect(worker.left).toEqual(nothingLeft);
  });

  it('sends leaving immediately while it computes, and ends without an answer when the engine has finished', async () => {
    const { worker, finish } = await computingWorker();
    await worker.abort();
    expect(worker.coordinator.types).toEqual(['hello', 'ready', 'leaving']);
    expect(worker.ended).toBeNull();
    await finish();
    expect(worker.ended?.sentence).toBe('left');
    expect(worker.coordinator.types).not.toContain('gradient');
    expect(worker.lines).toEqual(['joined as w1']);
    expect(worker.left).toEqual(nothingLeft);
  });
});

describe('a worker that abandons an engine that hangs', () => {
  it.each<[string, (worker: RunningWorker) => Promise<unknown>, RunningWorker['ended']]>([
    ['after abort', (worker) => worker.abort(), { outcome: 'returned', sentence: 'left' }],
    [
      'after the end of the run',
      (worker) => worker.coordinator.link.send({ type: 'finished', reason: 'Done.' }),
      { outcome: 'returned', sentence: 'Done.' },
    ],
    [
      'after a refusal',
      (worker) => lose(worker, CloseCode.unauthorized, 'No.'),
      { outcome: 'threw', sentence: 'This worker cannot take part in the run at ws://made:1: No.' },
    ],
    [
      'after abort without a connection',
      async (worker) => {
        await lose(worker);
        expect(worker.ended).toBeNull();
        await worker.abort();
      },
      { outcome: 'returned', sentence: 'left' },
    ],
  ])('ends immediately %s', async (_, end, ended) => {
    const { worker } = await computingWorker({ abandonsEngine: true });
    await end(worker);
    expect(worker.ended).toEqual(ended);
    expect(worker.left).toEqual(nothingLeft);
  });

  it('does not report the error of the abandoned engine', async () => {
    const worker = await startWorker(
      (_, engine) => {
        engine.onGradient = () =>
          new Promise((_resolve, reject) => {
            closeEngine = () => reject(new Error('The engine is closed.'));
          });
      },
      { abandonsEngine: true },
    );
    let closeEngine = (): void => undefined;
    await worker.coordinator.link.send(exampleWelcome);
    await worker.coordinator.link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights);
    const shard = { type: 'shard', task: 'train', step: step(1), shard: shardId(10), samples: 1 } as const;
    await worker.coordinator.link.send(shard, oneSample);
    await worker.abort();
    closeEngine();
    await settle();
    expect(worker.lines).toEqual(['joined as w1']);
  });
});
