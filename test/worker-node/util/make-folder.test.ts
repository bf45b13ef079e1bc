import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureWritable } from '../../../worker-node/engine/install/prerequisites.ts';
import { makeFolder } from '../../../worker-node/util/make-folder.ts';

let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'gradcast-folder-'))));
afterEach(() => rmSync(dir, { recursive: true }));

test('a folder is created with its parents, and may exist', () => {
  const path = join(dir, 'a', 'b', 'c');
  makeFolder(path);
  makeFolder(path);
  expect(existsSync(path)).toBe(true);
  writeFileSync(join(dir, 'file'), '');
  expect(() => makeFolder(join(dir, 'file'))).toThrow('EEXIST');
  expect(() => makeFolder(join(dir, 'file', 'a'))).toThrow('ENOTDIR');
});

test.runIf(process.platform === 'linux')('a cache folder in /proc is an error at once', async () => {
  // The second reason is for users other than root.
  await expect(ensureWritable('/proc/gradcast/cache')).rejects.toThrow(
    /^The cache folder \/proc\/gradcast\/cache is not writable \((folders cannot be created there|permission denied)\)/,
  );
});
