import { expect, it } from 'vitest';
import { computeFingerprint } from '../../../shared/worker/engine-fingerprint.ts';
import type { Job } from '../../../shared/model/job.ts';
import { roundingEngine } from '../../support/rounding-engine.ts';
import { exampleJob } from '../protocol/examples.ts';

const job: Job = {
  ...exampleJob,
  microShard: 4,
  batchSize: 10,
  data: { ...exampleJob.data, trainSamples: 25 },
};

async function fingerprintOf(build: number, changes: Partial<Job> = {}): Promise<string> {
  const computer = await roundingEngine({ build }).load({ ...job, ...changes });
  return computeFingerprint(computer, { ...job, ...changes });
}

it('fingerprints are equal if and only if the engine computes the same bits for the same job', async () => {
  const fingerprint = await fingerprintOf(0);
  expect(fingerprint).toMatch(/^[0-9a-f]{16}$/);
  expect(await fingerprintOf(0)).toBe(fingerprint);
  const others = [
    await fingerprintOf(1),
    await fingerprintOf(0, { seed: job.seed + 1 }),
    await fingerprintOf(0, { microShard: 5 }),
    await fingerprintOf(0, { data: { ...job.data, trainSamples: 24 } }),
  ];
  expect(new Set([fingerprint, ...others]).size).toBe(5);
});

it('a fingerprint covers all sizes of micro-shards in the run', async () => {
  const computed: string[] = [];
  const computer = await roundingEngine().load({ ...job, microShard: undefined });
  await computeFingerprint(
    {
      ...computer,
      gradient: (step, shard, gradient) => {
        computed.push(`train ${shard.sampleNumbers.length}`);
        return computer.gradient(step, shard, gradient);
      },
      evaluate: (shard) => {
        computed.push(`evaluate ${shard.sampleNumbers.length}`);
        return computer.evaluate(shard);
      },
    },
    { ...job, data: { ...job.data, testSamples: 7 } },
  );
  // Batches of 10, 10 and 5: 4 + 4 + 2 and 4 + 1; a test of 4 + 3.
  expect(computed).toEqual(['train 4', 'train 2', 'train 1', 'evaluate 4', 'evaluate 3']);
});
