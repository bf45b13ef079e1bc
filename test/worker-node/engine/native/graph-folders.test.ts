import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import {
  makeGraphFolder,
  removeOwnGraphFolders,
  removeStaleGraphFolders,
} from '../../../../worker-node/engine/native/graph-folders.ts';

test('the folders of this process are removed, and those of a process that was killed an hour ago', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'gradcast-folders-'));
  vi.stubEnv('TMPDIR', scratch);
  const own = makeGraphFolder();
  const [old, recent] = ['gradcast-graph-1-old', 'gradcast-graph-1-new'].map((name) => join(scratch, name));
  for (const folder of [old!, recent!]) mkdirSync(folder);
  utimesSync(old!, 0, 0);
  const there = (): boolean[] => [own, old!, recent!].map((folder) => existsSync(folder));
  removeStaleGraphFolders();
  expect(there()).toEqual([true, false, true]);
  removeOwnGraphFolders();
  expect(there()).toEqual([false, false, true]);
  vi.unstubAllEnvs();
  rmSync(scratch, { recursive: true });
});
