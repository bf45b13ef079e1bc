import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  prepareRun,
  type PreparedRun,
  type PrepareRunFlags,
} from '../../../coordinator/commands/prepare-run.ts';
import { CheckpointWriter, type CheckpointInterval } from '../../../coordinator/run/checkpoint-writer.ts';
import { defaultTopology } from '../../../shared/model/default-topology.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { writeDigits } from '../../support/idx-bytes.ts';
import { kerasFolder } from '../../support/keras-files.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { flagName } from '../../../shared/util/option-names.ts';
import { recordingReport } from '../../support/test-coordinator.ts';

let scratch = '';
beforeEach(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-prepare-'))));
afterEach(() => rm(scratch, { recursive: true }));

const files = (seed: number, ...path: string[]): Promise<string> =>
  writeDigits(join(scratch, ...path), syntheticDigits({ seed, trainCount: 20, testCount: 10 }));

const prepare = (data: string, more: Partial<PrepareRunFlags>): Promise<PreparedRun> =>
  prepareRun(
    { batchSize: 10, seed: 1, epochs: 2, microShard: 16, optionName: flagName, data, ...more },
    recordingReport(),
    new AbortController().signal,
  );

/** Writes the checkpoint before the first step, and the configuration. */
async function startRun({
  openFolder,
  job,
  dataDigest,
  weights,
  optimizer,
  checkpointEvery,
}: PreparedRun): Promise<void> {
  const folder = await openFolder!();
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

it('rejects a run that another process has locked, and other files in a folder of the same name', async () => {
  const [first, second] = [await files(0, 'a', 'digits'), await files(1, 'b', 'digits')];
  const dir = join(scratch, 'run');
  const prepared = await prepare(first, { out: dir });
  await startRun(prepared);
  await expect(prepare(first, { resume: dir })).rejects.toThrow('is in use by process');
  await prepared.release();
  await expect(prepare(second, { resume: dir })).rejects.toThrow(
    'started with other files than those now in digits',
  );
  const resumed = await prepare(first, { resume: dir });
  expect(resumed).toMatchObject({ resumeFrom: { position: { steps: 0 } } });
  await resumed.release();
});

it('resumes a run if the folder of its data was renamed', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const prepared = await prepare(data, { out: dir });
  await startRun(prepared);
  await prepared.release();
  const renamed = join(scratch, 'renamed');
  await rename(data, renamed);
  const resumed = await prepare(renamed, { resume: dir });
  expect(resumed).toMatchObject({ dataDigest: prepared.dataDigest, resumeFrom: { position: { steps: 0 } } });
  await resumed.release();
});

it('a resumed run keeps the checkpoint interval unless a flag changes it', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const prepared = await prepare(data, { out: dir, checkpointEvery: { steps: 7 } });
  await startRun(prepared);
  await prepared.release();
  const resume = async (checkpointEvery?: CheckpointInterval): Promise<CheckpointInterval> => {
    const resumed = await prepare(data, { resume: dir, ...(checkpointEvery && { checkpointEvery }) });
    await resumed.release();
    return resumed.checkpointEvery;
  };
  expect(await resume()).toEqual({ steps: 7 });
  expect(await resume({ ms: 30_000 })).toEqual({ ms: 30_000 });
  expect(await resume()).toEqual({ ms: 30_000 });
  expect(JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'))).toMatchObject({ seed: 1 });
  // Unusable configurations.
  for (const text of ['{', '{"checkpointEvery": {"steps": -1}}', '[]']) {
    await writeFile(join(dir, 'config.json'), text);
    expect(await resume()).toEqual({ ms: 300_000 });
  }
});

it('rejects a missing folder', async () => {
  const dir = join(scratch, 'nothing');
  await expect(prepare(scratch, { resume: dir })).rejects.toThrow(
    `There is no folder ${dir} to resume a run from.`,
  );
});

it('a resumed run accepts its own optimizer, loss and metrics, and names others', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const own = {
    loss: 'categorical_crossentropy',
    metrics: ['accuracy', 'mse'],
    optimizer: { name: 'sgd', momentum: 0.9, schedule: { name: 'cosine' } },
  } as const;
  const prepared = await prepare(data, { out: dir, ...own });
  await startRun(prepared);
  await prepared.release();
  const resumed = await prepare(data, { resume: dir, epochs: 4, ...own });
  expect(resumed.job.optimizer).toEqual(prepared.job.optimizer);
  await resumed.release();
  for (const [other, message] of [
    [{ loss: 'mse' }, '--loss mean_squared_error (the run has categorical_crossentropy).'],
    [{ metrics: ['mae'] }, '--metrics mae (the run has accuracy,mse).'],
    [{ optimizer: { name: 'adam' } }, '--optimizer adam (the run has sgd).'],
    [{ optimizer: { momentum: 0.5 } }, 'Leave out --momentum 0.5 (the run has 0.9).'],
    [{ optimizer: { ...own.optimizer, momentum: 0.5 } }, 'Leave out --momentum 0.5 (the run has 0.9).'],
    [
      { optimizer: { name: 'sgd', momentum: 0.9, schedule: { name: 'cosine', alpha: 0.1 } } },
      'Leave out --alpha 0.1 (the run has 0).',
    ],
    [{ classWeights: { 0: 2 } }, '--class-weights 0:2 (the run has none).'],
  ] as const)
    await expect(prepare(data, { resume: dir, ...other })).rejects.toThrow(message);
});

it('says what it takes from the file of a model, and options replace each of it', async () => {
  const folder = await kerasFolder();
  const data = await files(0, 'digits');
  const config = {
    optimizer: { class_name: 'SGD', config: { learning_rate: 0.1, momentum: 0.9 } },
    loss: 'categorical_crossentropy',
    metrics: ['mae', 'own'],
  };
  const model = await folder.write(
    'model.json',
    JSON.stringify({ ...defaultTopology([28, 28, 1], 10), compile_config: config }),
  );
  const report = recordingReport();
  const open = (more: Partial<PrepareRunFlags>) =>
    prepareRun(
      { batchSize: 10, seed: 1, epochs: 2, microShard: 16, optionName: flagName, data, model, ...more },
      report,
      new AbortController().signal,
    );
  const { job, notes, release } = await open({ optimizer: { learningRate: 0.5 } });
  await release();
  expect(job.optimizer).toMatchObject({ name: 'sgd', learningRate: 0.5, momentum: 0.9 });
  expect(job.outputs).toMatchObject([
    {
      loss: { name: 'sparse_categorical_crossentropy', label: 'categorical_crossentropy' },
      metrics: [{ name: 'mean_absolute_error', label: 'mae' }],
    },
  ]);
  expect(report.lines).toContain(
    'From model.json: sgd, learning rate 0.5, momentum 0.9; loss categorical_crossentropy; metrics mae.',
  );
  expect(notes.join()).toContain('does not compute own (there is no such metric) of model.json. --metrics');
  const other = await open({ optimizer: { name: 'lion' }, loss: 'mse', metrics: ['accuracy'] });
  await other.release();
  expect(other.job).toMatchObject({
    optimizer: { name: 'lion' },
    outputs: [{ loss: { name: 'mean_squared_error' } }],
  });
  await folder.remove();
});

it.each<[Partial<PrepareRunFlags>, string]>([
  [{ optimizer: { name: 'sgd', noDecay: ['bias'] } }, '--no-decay needs --weight-decay: '],
  [{ loss: 'mse2' }, 'There is no loss mse2. Losses are'],
  [{ metrics: ['accuracy', 'f5'] }, 'There is no metric f5. Metrics are'],
  [{ weights: 'a.h5' }, '--weights needs --model'],
  [
    {
      metrics: ['mae'],
      optimizer: { name: 'sgd', schedule: { name: 'plateau', monitor: 'val_accuracy' } },
    },
    'The plateau schedule monitors val_accuracy, but the run computes loss, mae. Add the metric with --metrics, or use another --monitor.',
  ],
])('rejects %j before it loads the data', async (more, message) => {
  const data = join(scratch, 'nothing');
  const flags = { batchSize: 10, seed: 1, epochs: 2, microShard: 16, optionName: flagName, data, ...more };
  await expect(prepareRun(flags, recordingReport(), new AbortController().signal)).rejects.toThrow(message);
});

it('a run on transposed images is resumed with them without the option', async () => {
  const data = await files(0, 'digits');
  const dir = join(scratch, 'run');
  const prepared = await prepare(data, { out: dir, transpose: true });
  await startRun(prepared);
  await prepared.release();
  const resumed = await prepare(data, { resume: dir });
  expect(resumed.dataset.train).toEqual(prepared.dataset.train);
  await resumed.release();
});
