import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.js';

/** Stamp of a complete build. Its time is the start of the build. */
export const stamp = `${root}/dist/.built`;

const SOURCES = ['cli', 'shared', 'coordinator', 'worker-node', 'worker-browser', 'scripts'];
const TARGETS = [
  'dist/coordinator/index.js',
  'dist/shared/protocol/index.js',
  'dist/worker-browser/engine-worker.js',
  'dist/worker-browser/index.js',
  'dist/worker-browser/tab-worker.js',
  'dist/worker-node/index.js',
  'dist/coordinator/model-file/hdf5-thread.js',
  'dist/worker-node/thread/engine-thread.js',
  'dist/page/index.html',
  'bin/cli.cjs',
];

/** Whether dist/ is complete and newer than all sources. */
export function isBuilt() {
  const builtMs = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs;
  if (builtMs === undefined) return false;
  const newestMs = Math.max(
    ...SOURCES.map((folder) => newestIn(join(root, folder))),
    statSync(join(root, 'package-lock.json')).mtimeMs,
  );
  return builtMs >= newestMs && TARGETS.every((file) => existsSync(join(root, file)));
}

/** Time of the last change in a folder and its subfolders, in milliseconds. */
function newestIn(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return Math.max(
    ...files.map((entry) => statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
  );
}
