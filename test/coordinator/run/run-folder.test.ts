import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRunFolder, defaultRunDir, reopenRunFolder } from '../../../coordinator/run/run-folder.ts';
import { acquireRunLock } from '../../../coordinator/run/run-lock.ts';

let parent = '';
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'gradcast-run-'));
});
afterEach(() => rm(parent, { recursive: true }));

const record = {
  epoch: 1,
  loss: 0.5,
  accuracy: 0.9,
  val_loss: 0.4,
  val_accuracy: 0.95,
  seconds: 5,
  samples_per_second: 100,
  workers: 1,
  data: 'mnist',
};

describe('the folder of a run', () => {
  it('is made with its parents, and holds the configuration and a line an epoch', async () => {
    const run = await createRunFolder(join(parent, 'a', 'b'));
    expect(run.modelDir).toBe(join(run.dir, 'model'));
    await run.writeConfig({ seed: 1337 });
    await run.appendHistory(record);
    await run.appendHistory({ ...record, epoch: 2 });
    expect(JSON.parse(await readFile(join(run.dir, 'config.json'), 'utf8'))).toEqual({ seed: 1337 });
    const lines = (await readFile(join(run.dir, 'history.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([record, { ...record, epoch: 2 }]);
  });

  it('keeps the value of a metric that is not defined', async () => {
    const run = await createRunFolder(parent);
    await run.appendHistory({ ...record, val_poisson: NaN });
    await run.release();
    const lock = await acquireRunLock(parent);
    const { history } = await reopenRunFolder(parent, 2, lock);
    expect(history).toEqual([{ ...record, val_poisson: NaN }]);
    await lock.release();
  });

  it('is rejected if it holds a run already, which stays unchanged', async () => {
    const run = await createRunFolder(parent);
    await run.writeConfig({ seed: 1 });
    await expect(createRunFolder(parent)).rejects.toThrow(
      `${parent} holds a run already. Choose another folder with --out.`,
    );
    await run.release();
    expect(await readdir(parent)).toEqual(['config.json']);
  });

  it('begins anew after a run that ended before its first checkpoint, if that is asked for', async () => {
    const run = await createRunFolder(parent);
    await run.writeConfig({ seed: 1 });
    await run.release();
    const next = await createRunFolder(parent, {});
    expect(await readdir(parent)).toContain('lock.json');
    await expect(createRunFolder(parent, {})).rejects.toThrow(`${parent} is in use by process`);
    await next.appendHistory(record);
    await next.release();
    await expect(createRunFolder(parent, {})).rejects.toThrow(
      `${parent} holds a run without a checkpoint to resume from.`,
    );
    expect(await readdir(parent)).not.toContain('lock.json');
  });

  it('may exist without a run in it', async () => {
    await writeFile(join(parent, 'notes.txt'), 'mine');
    expect((await createRunFolder(parent)).dir).toBe(parent);
  });

  it('is rejected with a sentence if it cannot be made', async () => {
    const file = join(parent, 'file');
    await writeFile(file, '');
    await expect(createRunFolder(join(file, 'run'))).rejects.toThrow(
      `${join(file, 'run')} cannot be made: a part of the path is a file. Choose another with --out.`,
    );
  });

  it('has a unique name with the date by default', () => {
    const names = Array.from({ length: 200 }, () => defaultRunDir(new Date('2026-02-03T23:59:59Z')));
    expect(new Set(names).size).toBe(200);
    for (const name of names) expect(name).toMatch(/^runs[/\\]2026-02-03-[a-km-z2-9]{6}$/);
  });
});
