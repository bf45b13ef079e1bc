import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER_PREFIX = 'gradcast-graph-';
const OWN_PREFIX = `${FOLDER_PREFIX}${process.pid}-`;
/** A graph's folder is needed for milliseconds; one that is older belongs to a process that was killed. */
const STALE_MS = 3_600_000;

/** A new folder for one graph, named for this process. */
export const makeGraphFolder = (): string => mkdtempSync(join(tmpdir(), OWN_PREFIX));

/**
 * Removes the folders that this process has left: a thread that is ended while TensorFlow reads a graph does not come to
 * remove its own. To be called when no graph is being loaded.
 */
export function removeOwnGraphFolders(): void {
  for (const name of listGraphFolders()) if (name.startsWith(OWN_PREFIX)) removeGraphFolder(name);
}

/** Removes what processes have left that were killed. @param nowMs since 1970 */
export function removeStaleGraphFolders(nowMs = Date.now()): void {
  for (const name of listGraphFolders()) {
    try {
      if (nowMs - statSync(join(tmpdir(), name)).mtimeMs > STALE_MS) removeGraphFolder(name);
    } catch {
      // Another process was faster.
    }
  }
}

function listGraphFolders(): string[] {
  try {
    return readdirSync(tmpdir()).filter((name) => name.startsWith(FOLDER_PREFIX));
  } catch {
    return [];
  }
}

function removeGraphFolder(name: string): void {
  try {
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  } catch {
    // Another user's.
  }
}
