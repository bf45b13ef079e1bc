import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Minimum age of a folder that is removed: longer than a process takes between creating a folder and using it. */
const STALE_MS = 3_600_000;

/**
 * Creates a folder for all temporary files of a run of tests or benches; its name contains this process' id. Removes
 * folders of killed runs first.
 * @param prefix start of the folder's name, such as 'gradcast-tests-'
 * @returns the folder, and a function that removes it and returns the names in it
 */
export function makeTemporary(prefix, parent = tmpdir(), nowMs = Date.now()) {
  removeStale(prefix, parent, nowMs);
  const folder = mkdtempSync(join(parent, `${prefix}${process.pid}-`));
  const remove = () => {
    const left = readdirSync(folder);
    rmSync(folder, { recursive: true, force: true });
    return left;
  };
  return { folder, remove };
}

function removeStale(prefix, parent, nowMs) {
  for (const name of readdirSync(parent).filter((each) => each.startsWith(prefix))) {
    const pid = Number(/^(\d+)-/.exec(name.slice(prefix.length))?.[1]);
    const path = join(parent, name);
    try {
      if (isAlive(pid) || nowMs - statSync(path).mtimeMs < STALE_MS) continue;
      rmSync(path, { recursive: true, force: true });
    } catch {
      // The folder is another user's, or another process has removed it.
    }
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
