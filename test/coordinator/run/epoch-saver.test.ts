import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EpochSaver, createRunFolder } from '../../../coordinator/run/run-folder.ts';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';
import { exampleEpoch } from '../../shared/protocol/examples.ts';

const record = (epoch: number): EpochRecord => ({ ...exampleEpoch, epoch });

it('training continues while the disk is full, and later epochs write the rest', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gradcast-epochs-'));
  const folder = await createRunFolder(join(dir, 'run'));
  const history = join(folder.dir, 'history.jsonl');
  const warnings: string[] = [];
  const models: number[] = [];
  const saver = new EpochSaver({
    folder,
    saveModel: ({ epoch }) => Promise.resolve(void models.push(epoch)),
    warn: (line) => warnings.push(line),
  });
  await saver.save(record(1));
  await rm(history);
  await mkdir(history);
  await saver.save(record(2));
  expect(warnings).toEqual([
    `The model of epoch 2 is not saved in ${folder.dir}: ${history} could not be written: a folder is there.`,
  ]);
  expect(() => saver.assertSaved()).toThrow('epoch 2');
  await rmdir(history);
  await saver.save(record(3));
  saver.assertSaved();
  expect(models).toEqual([1, 3]);
  const lines = (await readFile(history, 'utf8')).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as EpochRecord).epoch)).toEqual([2, 3]);
  await rm(dir, { recursive: true });
});

it('the folder of a run is removed only if the run has finished no epoch', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gradcast-epochs-'));
  const path = join(dir, 'run');
  await (await createRunFolder(path)).discardIfUnused();
  const unused = await createRunFolder(path);
  await writeFile(join(path, `custom-${'a'.repeat(64)}.js`), 'export default () => ({});');
  await unused.discardIfUnused();
  expect(existsSync(path)).toBe(false);
  const folder = await createRunFolder(path);
  await folder.appendHistory(record(1));
  await folder.discardIfUnused();
  await expect(createRunFolder(path)).rejects.toThrow('holds a run already');
  await rm(dir, { recursive: true });
});
