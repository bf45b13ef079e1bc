import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeTemporary } from '../../scripts/temporary.js';

let parent = '';
beforeEach(() => void (parent = mkdtempSync(join(tmpdir(), 'gradcast-temporary-'))));
afterEach(() => rmSync(parent, { recursive: true }));

test('remove() removes the folder of a run and returns the names of leftover files', () => {
  const { folder, remove } = makeTemporary('run-', parent);
  writeFileSync(join(folder, 'forgotten'), '');
  expect(remove()).toEqual(['forgotten']);
  expect(existsSync(folder)).toBe(false);
});

test('a later run removes the folder of a killed run and no other folder', () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const dead = mkdtempSync(join(parent, `run-${pid}-`));
  const alive = mkdtempSync(join(parent, `run-${process.pid}-`));
  const other = mkdtempSync(join(parent, `walk-${pid}-`));
  writeFileSync(join(dead, 'file'), '');
  makeTemporary('run-', parent).remove();
  // A process that this one cannot see may use the folder.
  expect(existsSync(dead)).toBe(true);
  for (const folder of [dead, alive, other]) utimesSync(folder, 0, 0);
  makeTemporary('run-', parent).remove();
  expect([dead, alive, other].map((folder) => existsSync(folder))).toEqual([false, true, true]);
});
