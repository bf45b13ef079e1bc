import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { prepareRun, type PreparedRun } from '../../../coordinator/commands/prepare-run.ts';
import { CheckpointWriter, type CheckpointInterval } from '../../../coordinator/run/checkpoint-writer.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { writeDigits } from '../../support/idx-bytes.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { recordingReport } from '../../support/test-coordinator.ts';

let scratch = '';
beforeEach(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-begin-'))));
afterEach(() => rm(scratch, { recursive: true }));

const files = (seed: number, ...path: string[]): Promise<string> =>
  writeDigits(join(scratch, ...path), syntheticDigits({ seed, trainCount: 20, testCount: 10 }));

const begin = (
  data: string,
  more: { out?: string; resume?: string; transpose?: boolean; checkpointEvery?: CheckpointInterval },
): Promise<PreparedRun> =>
  prepareRun(
    { batchSize: 10, seed: 1, epochs: 2, microShard: 16, data, ...more },
    recordingReport(),
    new AbortController().signal,
  );

/** Writes the checkpoint before the first step, and the configuration. */
async function start({
  openFolder,
  job,
  dataDigest,
  weights,
  optimizer,
  checkpointEvery,
}: PreparedRun): Promise<void> {
  const folder = await openFolder();
  await folder.writeConfig({ seed: 1, checkpointEvery });
  await new CheckpointWriter({
    dir: folder.checkpointDir,
    every: checkpointEvery,
    job,
    dataDigest,
    vectors: { weights, ...optimizer.state },
    clock: manualClock(),
    warn: () => undefined,
  }).writeInitial();
}

it('a run is not resumed while it goes on, nor on other files, though their folder has the same name', async () => {
  const [first, second] = [await files(0, 'a', 'digits'), await files(1, 'b', 'digits')];
  const dir = join(scratch, 'run');
  const begun = await begin(first, { out: dir });
  await start(begun);
  await expect(begin(first, { resume: dir })).rejects.toThrow('is in use by process');
  await begun.release();
  await expect(begin(second, { resume: dir })).rejects.toThrow(
    'begun on other files than those now in digits',
  );
  const resumed = await begin(first, { resume: dir });
  expect(resumed).toMatchObject({ resumeFrom: { position: { steps: 0 } } });
  await resumed.release();
});

it('the same files in a folder of another name are the same data', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const begun = await begin(data, { out: dir });
  await start(begun);
  await begun.release();
  const renamed = join(scratch, 'renamed');
  await rename(data, renamed);
  const resumed = await begin(renamed, { resume: dir });
  expect(resumed).toMatchObject({ dataDigest: begun.dataDigest, resumeFrom: { position: { steps: 0 } } });
  await resumed.release();
});

it('a resumed run writes checkpoints as often as it was told, unless it is told otherwise', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const begun = await begin(data, { out: dir, checkpointEvery: { steps: 7 } });
  await start(begun);
  await begun.release();
  const resume = async (checkpointEvery?: CheckpointInterval): Promise<CheckpointInterval> => {
    const resumed = await begin(data, { resume: dir, ...(checkpointEvery && { checkpointEvery }) });
    await resumed.release();
    return resumed.checkpointEvery;
  };
  expect(await resume()).toEqual({ steps: 7 });
  expect(await resume({ ms: 30_000 })).toEqual({ ms: 30_000 });
  expect(await resume()).toEqual({ ms: 30_000 });
  expect(JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'))).toMatchObject({ seed: 1 });
  // A configuration that says nothing of use.
  for (const text of ['{', '{"checkpointEvery": {"steps": -1}}', '[]']) {
    await writeFile(join(dir, 'config.json'), text);
    expect(await resume()).toEqual({ ms: 300_000 });
  }
});

it('a folder that is not there cannot be resumed', async () => {
  const dir = join(scratch, 'nothing');
  await expect(begin(scratch, { resume: dir })).rejects.toThrow(
    `There is no folder ${dir} to resume a run from.`,
  );
});

it('a run on transposed images is resumed on them without the option', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const begun = await begin(data, { out: dir, transpose: true });
  await start(begun);
  await begun.release();
  const resumed = await begin(data, { resume: dir });
  expect(resumed.dataset.train).toEqual(begun.dataset.train);
  await resumed.release();
});
