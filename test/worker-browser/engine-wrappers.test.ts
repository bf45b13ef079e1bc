import { describe, expect, it } from 'vitest';
import { viewShard } from '../../shared/data/shard.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { throttledEngine } from '../../worker-browser/engine-wrappers.ts';
import { manualClock } from '../support/manual-clock.ts';
import { oneWeightJob, slowEngine } from './slow-engine.ts';
import { imageTensors } from '../../shared/model/tensors.ts';

const shard = viewShard(new Uint8Array(12), 1, imageTensors([1], 2));

describe('an engine that computes a share of the time', () => {
  const answerTime = async (share: number, abortAtMs = Infinity): Promise<number> => {
    const clock = manualClock();
    const controller = new AbortController();
    const engine = throttledEngine(slowEngine(clock).engine, () => share, clock, controller.signal);
    const computer = await engine.load(oneWeightJob);
    let answeredAtMs = -1;
    void computer.gradient(0 as Step, shard, new Float32Array(1)).then(() => (answeredAtMs = clock.now()));
    for (let ms = 0; ms < 1_000; ms += 50) {
      if (ms >= abortAtMs) controller.abort();
      await clock.advance(50);
    }
    return answeredAtMs;
  };

  it.each([
    [1, 100],
    [0.5, 200],
    [0.25, 400],
  ])('of %d answers a shard of 100 ms after %d ms', async (share, ms) => {
    expect(await answerTime(share)).toBe(ms);
  });

  it('ends its pause when the tab leaves', async () => {
    expect(await answerTime(0.25, 200)).toBe(200);
  });
});
