import { expect, it } from 'vitest';
import { Metrics } from '../../../coordinator/observe/metrics.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { testPool } from '../pool/pool-harness.ts';

it('counts workers and the shards that they failed to compute', async () => {
  const { pool, clock, join } = testPool();
  const metrics = new Metrics({ pool, clock, observerCount: () => 0 });
  const ann = await join('ann');
  for (const id of [1, 2])
    await ann.say({ type: 'failed', step: step(0), shard: shardId(id), reason: 'no memory' });
  await ann.say({ type: 'leaving', reason: 'done' });
  const lines = (await metrics.text()).body.split('\n');
  expect(lines).toContain('gradcast_failed_shards_total 2');
  expect(lines).toContain('gradcast_workers_joined_total 1');
  expect(lines).toContain('gradcast_workers_left_total 1');
});

it('shows metrics whose names are those of other figures, or the same without special characters', async () => {
  const { pool, clock } = testPool();
  const metrics = new Metrics({ pool, clock, observerCount: () => 0 });
  metrics.stepFinished({
    epoch: 1,
    step: 1,
    steps: 1,
    loss: 1,
    metrics: { observers: 2, 'a/b': 3, a_b: 4 },
    samplesPerSecond: 1,
    workers: 1,
    batch: { lossSum: 1, metrics: [], samples: 1 },
    dataWaitMs: 0,
    weights: { step: step(1), source: { averagedWeights: new Float32Array(0) } },
  });
  const lines = (await metrics.text()).body.split('\n');
  expect(lines).toContain('gradcast_observers_{split="train"} 2');
  expect(lines).toContain('gradcast_a_b{split="train"} 3');
  expect(lines).toContain('gradcast_a_b_{split="train"} 4');
});

it('counts bytes of workers that have left, too', async () => {
  const { pool, clock, join } = testPool();
  const metrics = new Metrics({ pool, clock, observerCount: () => 0 });
  const value = async (name: string): Promise<number> => {
    const { body } = await metrics.text();
    return Number(new RegExp(`^gradcast_${name} (\\S+)$`, 'm').exec(body)?.[1]);
  };
  const ann = await join('ann');
  const [sent, received] = [await value('sent_bytes_total'), await value('received_bytes_total')];
  expect(sent).toBeGreaterThan(0);
  expect(received).toBeGreaterThan(0);
  await ann.say({ type: 'leaving', reason: 'done' });
  expect(pool.workers.size).toBe(0);
  expect(await value('sent_bytes_total')).toBeGreaterThanOrEqual(sent);
  expect(await value('received_bytes_total')).toBeGreaterThan(received);
  await join('bob');
  expect(await value('sent_bytes_total')).toBeGreaterThan(sent);
});
