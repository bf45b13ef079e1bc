import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { makeFolder } from '../../../coordinator/files/make-folder.ts';
import { systemError } from '../../support/full-disk.ts';

let dir = '';
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-folder-'))));
afterEach(() => rm(dir, { recursive: true }));

describe('a folder', () => {
  it('is made with its parents, and may exist', async () => {
    await makeFolder(join(dir, 'a', 'b', 'c'));
    await makeFolder(join(dir, 'a', 'b', 'c'));
    await Promise.all([1, 2, 3].map(() => makeFolder(join(dir, 'a', 'x', 'y'))));
    expect((await readdir(join(dir, 'a'))).sort()).toEqual(['b', 'x']);
  });

  it.each([
    ['EROFS', 'the file system is read-only'],
    ['EACCES', 'permission denied'],
    ['ENOSPC', 'the disk is full'],
    // The code that /proc returns.
    ['ENOENT', `PARENT takes no new folders`],
  ])('that cannot be made is an error with the reason: %s', async (code, reason) => {
    const path = join(dir, 'a', 'b');
    const tried: string[] = [];
    const refuse = (folder: string): Promise<void> => {
      tried.push(folder);
      return Promise.reject(systemError(code));
    };
    await expect(makeFolder(path, refuse)).rejects.toThrow(
      `The folder ${path} cannot be made: ${reason.replace('PARENT', dir)}.`,
    );
    expect(tried).toEqual([join(dir, 'a')]);
  });
});

test.runIf(process.platform === 'linux')('a folder in /proc is rejected at once', async () => {
  await expect(makeFolder('/proc/gradcast/run')).rejects.toThrow(
    // A user who is not root gets the second reason.
    /^The folder \/proc\/gradcast\/run cannot be made: (\/proc takes no new folders|permission denied)\.$/,
  );
});
