import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Longer than it takes to make a folder and to write to it. */
const STALE_MS = 3_600_000;

/**
 * A folder for all temporary files of a run of tests or benches, named for this process. Folders of runs that were killed
 * are removed first.
 * @param prefix what its name begins with, such as 'gradcast-tests-'
 * @returns the folder, and what removes it and tells what was left in it
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
      // Another user's, or another process was faster.
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
