import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeTemporary } from '../../scripts/temporary.js';

let parent = '';
beforeEach(() => void (parent = mkdtempSync(join(tmpdir(), 'gradcast-temporary-'))));
afterEach(() => rmSync(parent, { recursive: true }));

test('the folder of a run is removed, with a word about what was left in it', () => {
  const { folder, remove } = makeTemporary('run-', parent);
  writeFileSync(join(folder, 'forgotten'), '');
  expect(remove()).toEqual(['forgotten']);
  expect(existsSync(folder)).toBe(false);
});

test('the folder of a run that was killed is removed by a later one, and no other', () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const dead = mkdtempSync(join(parent, `run-${pid}-`));
  const alive = mkdtempSync(join(parent, `run-${process.pid}-`));
  const other = mkdtempSync(join(parent, `walk-${pid}-`));
  writeFileSync(join(dead, 'file'), '');
  makeTemporary('run-', parent).remove();
  // It may be in use by a process that this one cannot see.
  expect(existsSync(dead)).toBe(true);
  for (const folder of [dead, alive, other]) utimesSync(folder, 0, 0);
  makeTemporary('run-', parent).remove();
  expect([dead, alive, other].map((folder) => existsSync(folder))).toEqual([false, true, true]);
});
