import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  appendLine,
  type AppendableFile,
  writeFileAtomic,
  type WritableFile,
} from '../../../coordinator/files/write-file.ts';
import { fullDisk, systemError } from '../../support/full-disk.ts';

let dir = '';
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-write-'))));
afterEach(() => rm(dir, { recursive: true }));

/** Opens files on a disk that stores a wrong byte. */
async function corruptDisk(path: string, flags: string, mode: number): Promise<WritableFile> {
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

describe('a file that is written atomically', () => {
  it('replaces the old file, whatever its size', async () => {
    const path = join(dir, 'file');
    for (const length of [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
      await writeFileAtomic(path, bytes);
      expect((await readFile(path)).equals(bytes)).toBe(true);
    }
    expect(await readdir(dir)).toEqual(['file']);
  });

  it('is written to the target of a link, and the link stays', async () => {
    await writeFile(join(dir, 'real'), 'old');
    await symlink('real', join(dir, 'link'));
    await writeFileAtomic(join(dir, 'link'), 'new');
    expect(await readFile(join(dir, 'real'), 'utf8')).toBe('new');
    expect((await readdir(dir)).sort()).toEqual(['link', 'real']);
  });

  it.skipIf(process.platform === 'win32')(
    'does not replace a pipe or a folder, nor the target of a link to one',
    async () => {
      const pipe = join(dir, 'pipe');
      const link = join(dir, 'link');
      execFileSync('mkfifo', [pipe]);
      await symlink('pipe', link);
      for (const path of [pipe, link, dir]) {
        await expect(writeFileAtomic(path, 'new')).rejects.toThrow(
          `${path} could not be written: it is not a regular file.`,
        );
      }
      expect((await stat(pipe)).isFIFO()).toBe(true);
      expect((await readdir(dir)).sort()).toEqual(['link', 'pipe']);
    },
  );

  it.each([
    ['takes a part and then fails', fullDisk(5, 'fails'), 'the disk is full'],
    ['takes a part and reports all', fullDisk(5, 'says nothing'), 'the disk holds 5 of 9 bytes'],
    ['stores other bytes', corruptDisk, 'the disk holds other bytes than were written'],
  ])('is unchanged on a disk that %s', async (_, openFile, reason) => {
    const path = join(dir, 'file');
    await writeFile(path, 'the good one');
    await expect(writeFileAtomic(path, 'a new one', { openFile })).rejects.toThrow(
      `${path} could not be written: ${reason}.`,
    );
    expect(await readFile(path, 'utf8')).toBe('the good one');
    expect(await readdir(dir)).toEqual(['file']);
  });

  it('is not replaced if beforeReplace fails', async () => {
    const path = join(dir, 'file');
    await writeFile(path, 'theirs');
    const beforeReplace = (): Promise<void> => Promise.reject(new Error('It was taken over.'));
    await expect(writeFileAtomic(path, 'ours', { beforeReplace })).rejects.toThrow('It was taken over.');
    expect(await readFile(path, 'utf8')).toBe('theirs');
  });
});

it('a line that a full disk takes only in part is removed again', async () => {
  const path = join(dir, 'history');
  await appendLine(path, 'one');
  const cut = async (...[file, flags]: [string, number]): Promise<AppendableFile> => {
    const opened = await open(file, flags);
    return {
      stat: () => opened.stat(),
      async writeFile(text) {
        await opened.writeFile(text.slice(0, 2));
        throw systemError('ENOSPC');
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
