import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beginRun } from '../../coordinator/begin.ts';
import { CheckpointWriter } from '../../coordinator/storage/checkpoint-writer.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { manualClock } from '../support/manual-clock.ts';
import { recordingReport } from '../support/test-coordinator.ts';

it('a run on transposed images is resumed on them without the option', async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'gradcast-begin-'));
  const data = await writeDigits(
    join(scratch, 'digits'),
    drawDigits({ seed: 1, trainCount: 20, testCount: 10 }),
  );
  const flags = { data, batchSize: 10, seed: 1, epochs: 2, microShard: 16 };
  const { signal } = new AbortController();
  const dir = join(scratch, 'run');
  const first = await beginRun({ ...flags, transpose: true, out: dir }, recordingReport(), signal);
  const { job, dataDigest, weights, optimizer } = first;
  const { checkpointDir } = await first.openFolder();
  await new CheckpointWriter({
    ...{ dir: checkpointDir, every: { steps: 1 }, job, dataDigest },
    ...{ vectors: { weights, ...optimizer.state }, clock: manualClock(), warn: () => undefined },
  }).begin();
  await first.release();
  const resumed = await beginRun({ ...flags, resume: dir }, recordingReport(), signal);
  expect(resumed.dataset.train).toEqual(first.dataset.train);
  await resumed.release();
  await rm(scratch, { recursive: true });
});

it('a run is not gone on with while it goes on, nor on other files, though their folder has the same name', async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'gradcast-begin-'));
  const [first, second] = [join(scratch, 'a', 'digits'), join(scratch, 'b', 'digits')];
  for (const [seed, data] of [first, second].entries()) {
    await writeDigits(data, drawDigits({ seed, trainCount: 20, testCount: 10 }));
  }
  const flags = { batchSize: 10, seed: 1, epochs: 2, microShard: 16 };
  const { signal } = new AbortController();
  const dir = join(scratch, 'run');
  const begin = (data: string, more: { out?: string; resume?: string }) =>
    beginRun({ ...flags, data, ...more }, recordingReport(), signal);
  const { job, dataDigest, weights, optimizer, openFolder, release } = await begin(first, { out: dir });
  const { checkpointDir } = await openFolder();
  await new CheckpointWriter({
    ...{ dir: checkpointDir, every: { steps: 1 }, job, dataDigest },
    ...{ vectors: { weights, ...optimizer.state }, clock: manualClock(), warn: () => undefined },
  }).begin();
  await expect(begin(first, { resume: dir })).rejects.toThrow('belongs to a run that is going on');
  await release();
  await expect(begin(second, { resume: dir })).rejects.toThrow(
    'begun on other files than those now in digits',
  );
  const resumed = await begin(first, { resume: dir });
  expect(resumed).toMatchObject({ start: { position: { steps: 0 } } });
  await resumed.release();
  await rm(scratch, { recursive: true });
});
