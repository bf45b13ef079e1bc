import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER_PREFIX = 'gradcast-graph-';
const OWN_PREFIX = `${FOLDER_PREFIX}${process.pid}-`;
/** Age at which a folder counts as left by a killed process; a graph needs its folder for milliseconds. */
const STALE_MS = 3_600_000;

/** Creates a folder for one graph, with the id of this process in its name. */
export const makeGraphFolder = (): string => mkdtempSync(join(tmpdir(), OWN_PREFIX));

/**
 * Removes the folders of this process: a thread that is ended while TensorFlow reads a graph does not remove its own. Must not
 * be called while a graph is loaded.
 */
export function removeOwnGraphFolders(): void {
  for (const name of listGraphFolders()) if (name.startsWith(OWN_PREFIX)) removeGraphFolder(name);
}

/**
 * Removes the folders of killed processes.
 * @param nowMs milliseconds since 1970
 */
export function removeStaleGraphFolders(nowMs = Date.now()): void {
  for (const name of listGraphFolders()) {
    try {
      if (nowMs - statSync(join(tmpdir(), name)).mtimeMs > STALE_MS) removeGraphFolder(name);
    } catch {
      // Another process has removed the folder.
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
    // The folder belongs to another user.
  }
}
