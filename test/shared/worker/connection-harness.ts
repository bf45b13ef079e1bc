import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { startWorker, type RunningWorker } from './session-harness.ts';

export const nothingLeft = { listeners: 0, timers: 0 };
export const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 0, 0, 1, 0, 0, 0);
export const sixWeights = new Uint8Array(24);

export async function lose(worker: RunningWorker, code = 1006, reason = ''): Promise<void> {
  worker.coordinator.link.end.close(code, reason);
  await settle();
}

/** A worker whose engine computes a shard until `finish` is called. */
export async function computingWorker(
  options: Parameters<typeof startWorker>[1] = {},
): Promise<{ worker: RunningWorker; readonly finish: () => Promise<void> }> {
  let resolveShard = (): void => undefined;
  const worker = await startWorker((_, engine) => {
    engine.onGradient = () =>
      new Promise((resolve) => (resolveShard = () => resolve({ lossSum: 1, metrics: [0] })));
  }, options);
  await worker.coordinator.link.send(exampleWelcome);
  await worker.coordinator.link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights);
  const shard = { type: 'shard', task: 'train', step: step(1), shard: shardId(10), samples: 1 } as const;
  await worker.coordinator.link.send(shard, oneSample);
  const finish = (): Promise<void> => {
    resolveShard();
    return settle();
  };
  return { worker, finish };
}
