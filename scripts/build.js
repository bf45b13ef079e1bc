import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { buildPage } from './build-page.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}/dist`;

/** Bundles the program into dist/: the coordinator and the Node worker for Node, the page for browsers. */
export async function buildAll() {
  await Promise.all([buildForNode(), buildPage(root, `${dist}/page`)]);
}

/** Builds, unless dist/ is newer than everything that it is made of. */
export async function ensureBuilt() {
  const rooms = ['shared', 'coordinator', 'worker-node', 'worker-browser', 'scripts'].map((room) =>
    join(root, room),
  );
  const newest = Math.max(...rooms.map(newestIn), statSync(join(root, 'package-lock.json')).mtimeMs);
  const targets = [
    'coordinator/main.js',
    'worker-node/main.js',
    'worker-node/thread/engine-thread.js',
    'page/index.html',
  ];
  const built = targets.map((file) => {
    const stats = statSync(join(dist, file), { throwIfNoEntry: false });
    return stats?.mtimeMs ?? 0;
  });
  if (Math.min(...built) < newest) await buildAll();
}

/** When a file in this folder, or below it, was last changed. */
function newestIn(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return Math.max(
    ...files.map((entry) => statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
  );
}

function buildForNode() {
  return build({
    absWorkingDir: root,
    entryPoints: ['coordinator/main.ts', 'worker-node/main.ts', 'worker-node/thread/engine-thread.ts'],
    outdir: dist,
    outbase: '.',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: true,
    logLevel: 'warning',
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await buildAll();
