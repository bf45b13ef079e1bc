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
