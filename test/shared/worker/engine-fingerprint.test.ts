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

async function answerOf(build: number, changes: Partial<Job> = {}): Promise<string> {
  const trainer = await roundingEngine({ build }).load({ ...job, ...changes });
  return computeFingerprint(trainer, { ...job, ...changes });
}

it('is the same for the same bits, and another one for others', async () => {
  const answer = await answerOf(0);
  expect(answer).toMatch(/^[0-9a-f]{16}$/);
  expect(await answerOf(0)).toBe(answer);
  const others = [
    await answerOf(1),
    await answerOf(0, { seed: job.seed + 1 }),
    await answerOf(0, { microShard: 5 }),
    await answerOf(0, { data: { ...job.data, trainSamples: 24 } }),
  ];
  expect(new Set([answer, ...others]).size).toBe(5);
});

it('asks for every size that a micro-shard of the run has', async () => {
  const asked: string[] = [];
  const trainer = await roundingEngine().load({ ...job, microShard: undefined });
  await computeFingerprint(
    {
      ...trainer,
      gradient: (step, shard, gradient) => {
        asked.push(`train ${shard.labels.length}`);
        return trainer.gradient(step, shard, gradient);
      },
      evaluate: (shard) => {
        asked.push(`evaluate ${shard.labels.length}`);
        return trainer.evaluate(shard);
      },
    },
    { ...job, data: { ...job.data, testSamples: 7 } },
  );
  // Batches of 10, 10 and 5: 4 + 4 + 2 and 4 + 1; a test of 4 + 3.
  expect(asked).toEqual(['train 4', 'train 2', 'train 1', 'evaluate 4', 'evaluate 3']);
});
