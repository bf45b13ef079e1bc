import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import {
  appendLine,
  type AppendableFile,
  writeFileAtomic,
  type WritableFile,
} from '../../../coordinator/run/write-file.ts';
import {
  encodeCheckpoint,
  loadCheckpoint,
  saveCheckpoint,
  type Checkpoint,
} from '../../../coordinator/run/checkpoint.ts';
import { CheckpointWriter } from '../../../coordinator/run/checkpoint-writer.ts';
import { saveModel } from '../../../coordinator/run/model-folder.ts';
import { makeFolder } from '../../../coordinator/run/make-folder.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { manualClock } from '../../support/manual-clock.ts';

let dir = '';
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-write-'))));
afterEach(() => rm(dir, { recursive: true }));

const failure = (code: string): Error => Object.assign(new Error(`${code}: raw`), { code });

/** A file system with so many bytes left: it takes what fits, then nothing more. */
function almostFull(freeBytes: number, then: 'fails' | 'says nothing') {
  let left = freeBytes;
  return async (path: string, flags: string, mode: number): Promise<WritableFile> => {
    const file = await open(path, flags, mode);
    return {
      async write(bytes, offset, length, position) {
        const taken = Math.min(left, length);
        if (taken === 0 && then === 'fails') throw failure('ENOSPC');
        left -= taken;
        await file.write(bytes, offset, taken, position);
        return { bytesWritten: then === 'fails' ? taken : length };
      },
      read: (...range) => file.read(...range),
      sync: () => file.sync(),
      close: () => file.close(),
    };
  };
}

/** A disk that keeps other bytes than it was given. */
async function flipping(path: string, flags: string, mode: number): Promise<WritableFile> {
  const file = await open(path, flags, mode);
  return {
    write: (bytes, offset, length, position) =>
      file.write(
        bytes.map((byte, i) => (i === 3 ? byte ^ 1 : byte)),
        offset,
        length,
        position,
      ),
    read: (...range) => file.read(...range),
    sync: () => file.sync(),
    close: () => file.close(),
  };
}

describe('a file that is written as a whole', () => {
  it('takes the place of the one before, however large', async () => {
    const path = join(dir, 'file');
    for (const length of [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
      await writeFileAtomic(path, bytes);
      expect((await readFile(path)).equals(bytes)).toBe(true);
    }
    expect(await readdir(dir)).toEqual(['file']);
  });

  it('is written where a link points, and the link stays', async () => {
    await writeFile(join(dir, 'real'), 'old');
    await symlink('real', join(dir, 'link'));
    await writeFileAtomic(join(dir, 'link'), 'new');
    expect(await readFile(join(dir, 'real'), 'utf8')).toBe('new');
    expect((await readdir(dir)).sort()).toEqual(['link', 'real']);
  });

  it.skipIf(process.platform === 'win32')(
    'does not take the place of what is no file, nor of what a link points to',
    async () => {
      const [pipe, link] = [join(dir, 'pipe'), join(dir, 'link')];
      execFileSync('mkfifo', [pipe]);
      await symlink('pipe', link);
      for (const path of [pipe, link, dir]) {
        await expect(writeFileAtomic(path, 'new')).rejects.toThrow(
          `${path} could not be written: it is no regular file.`,
        );
      }
      expect((await stat(pipe)).isFIFO()).toBe(true);
      expect((await readdir(dir)).sort()).toEqual(['link', 'pipe']);
    },
  );

  it.each([
    ['takes a part and then fails', almostFull(5, 'fails'), 'the disk is full'],
    ['takes a part and says that it took all', almostFull(5, 'says nothing'), 'the disk holds 5 of 9 bytes'],
    ['keeps other bytes', flipping, 'the disk holds other bytes than were written'],
  ])('stays as it was on a disk that %s', async (_, openFile, why) => {
    const path = join(dir, 'file');
    await writeFile(path, 'the good one');
    await expect(writeFileAtomic(path, 'a new one', { openFile })).rejects.toThrow(
      `${path} could not be written: ${why}.`,
    );
    expect(await readFile(path, 'utf8')).toBe('the good one');
    expect(await readdir(dir)).toEqual(['file']);
  });

  it('is not replaced when the folder belongs to another process meanwhile', async () => {
    const path = join(dir, 'file');
    await writeFile(path, 'theirs');
    const beforeReplace = (): Promise<void> => Promise.reject(new Error('It was taken over.'));
    await expect(writeFileAtomic(path, 'ours', { beforeReplace })).rejects.toThrow('It was taken over.');
    expect(await readFile(path, 'utf8')).toBe('theirs');
  });
});

const checkpoint = (steps: number): Checkpoint => ({
  position: { epoch: 1, step: steps, steps },
  tally: { samples: 1, lossSum: 1, correct: 1, seconds: 1 },
  job: exampleJob,
  vectors: { weights: Float32Array.of(1, 2, 3, 4, 5, 6) },
});

describe('a full disk', () => {
  it('costs the new checkpoint, never one of those that are there, and is told once', async () => {
    for (const steps of [1, 2, 3]) {
      await saveCheckpoint(dir, checkpoint(steps).position, encodeCheckpoint(checkpoint(steps)));
    }
    const before = await readdir(dir);
    const warnings: string[] = [];
    let isFull = true;
    const full = almostFull(100, 'fails');
    const writer = new CheckpointWriter({
      dir,
      every: { steps: 1 },
      job: exampleJob,
      vectors: checkpoint(4).vectors,
      clock: manualClock(),
      write: { openFile: (...file) => (isFull ? full(...file) : open(...file)) },
      warn: (line) => warnings.push(line),
    });
    for (const steps of [4, 5, 6])
      await writer.record('epoch', checkpoint(steps).position, checkpoint(4).tally);
    expect(await readdir(dir)).toEqual(before);
    expect(warnings).toEqual([
      `No new checkpoint: ${join(dir, 'checkpoint-000000004.bin')} could not be written: the disk is full. ` +
        'The training continues; earlier checkpoints are kept.',
    ]);
    expect((await loadCheckpoint(dir, () => undefined)).position.steps).toBe(3);

    isFull = false;
    await writer.record('epoch', checkpoint(5).position, checkpoint(5).tally);
    expect(warnings.slice(1)).toEqual([`Checkpoints are written to ${dir} again.`]);
    expect((await loadCheckpoint(dir, () => undefined)).position.steps).toBe(5);
  });

  it.each([
    ['its weights', 10],
    ['what describes it', 24 + 10],
  ])('costs the new model where it cuts %s short, not the one before', async (_, freeBytes) => {
    const { topology, ...job } = exampleJob;
    const metadata = { gradcast: '1', dataDescription: '', epochs: 1, val_loss: 1, val_accuracy: 1, job };
    const model = (value: number) => ({
      metadata,
      topology,
      names: ['a', 'b'],
      weights: new Float32Array(6).fill(value),
    });
    await saveModel(dir, model(1));
    const before = await Promise.all((await readdir(dir)).map((file) => readFile(join(dir, file))));
    await expect(saveModel(dir, model(2), { openFile: almostFull(freeBytes, 'fails') })).rejects.toThrow(
      'could not be written: the disk is full.',
    );
    const after = await Promise.all((await readdir(dir)).map((file) => readFile(join(dir, file))));
    expect(after).toEqual(before);
  });

  it('leaves no half line in the history', async () => {
    const path = join(dir, 'history');
    await appendLine(path, 'one');
    const cut = async (...[file, flags]: [string, number]): Promise<AppendableFile> => {
      const opened = await open(file, flags);
      return {
        stat: () => opened.stat(),
        async writeFile(text) {
          await opened.writeFile(text.slice(0, 2));
          throw failure('ENOSPC');
        },
        truncate: (bytes) => opened.truncate(bytes),
        sync: () => opened.sync(),
        close: () => opened.close(),
      };
    };
    await expect(appendLine(path, 'two', cut)).rejects.toThrow(
      `${path} could not be written: the disk is full.`,
    );
    await appendLine(path, 'three');
    expect(await readFile(path, 'utf8')).toBe('one\nthree\n');
  });
});

describe('a folder', () => {
  it('is made with those above it, and may be there', async () => {
    await makeFolder(join(dir, 'a', 'b', 'c'));
    await makeFolder(join(dir, 'a', 'b', 'c'));
    await Promise.all([1, 2, 3].map(() => makeFolder(join(dir, 'a', 'x', 'y'))));
    expect((await readdir(join(dir, 'a'))).sort()).toEqual(['b', 'x']);
  });

  it.each([
    ['EROFS', 'the file system is read-only'],
    ['EACCES', 'permission denied'],
    ['ENOSPC', 'the disk is full'],
    // What /proc answers.
    ['ENOENT', `PARENT takes no new folders`],
  ])('that cannot be made is an error that says why: %s', async (code, why) => {
    const path = join(dir, 'a', 'b');
    const tried: string[] = [];
    const refuse = (folder: string): Promise<void> => {
      tried.push(folder);
      return Promise.reject(failure(code));
    };
    await expect(makeFolder(path, refuse)).rejects.toThrow(
      `The folder ${path} cannot be made: ${why.replace('PARENT', dir)}.`,
    );
    expect(tried).toEqual([join(dir, 'a')]);
  });
});

test.runIf(process.platform === 'linux')('a folder in /proc is refused at once', async () => {
  await expect(makeFolder('/proc/gradcast/run')).rejects.toThrow(
    // A user who is not root is told the second.
    /^The folder \/proc\/gradcast\/run cannot be made: (\/proc takes no new folders|permission denied)\.$/,
  );
});
