import { existsSync, readdirSync, realpathSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildPage } from './build-page.js';
import { lockFile } from './install.js';
import { withLock } from './lock.js';
import { sweep } from './sweep.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}/dist`;
/** Written when all else is there. */
const stamp = `${dist}/.built`;

/** Bundles the program into dist/: the coordinator and the Node worker for Node, the page for browsers. */
export function buildAll() {
  return alone(buildBoth);
}

const alone = (work) =>
  withLock(lockFile, () => console.error('Another start builds; waiting for it ...'), work);

async function buildBoth() {
  const startedAt = new Date();
  await Promise.all([buildForNode(), buildPage(root, `${dist}/page`)]);
  // What is changed while it is built is newer than this.
  writeFileSync(stamp, '');
  utimesSync(stamp, startedAt, startedAt);
}

/** Builds, unless dist/ is newer than everything that it is made of. */
export async function ensureBuilt() {
  if (isBuilt()) return;
  await alone(async () => {
    if (!isBuilt()) await buildBoth();
  });
}

function isBuilt() {
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
  const builtMs = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return builtMs >= newest && targets.every((file) => existsSync(join(dist, file)));
}

/** When a file in this folder, or below it, was last changed. */
function newestIn(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return Math.max(
    ...files.map((entry) => statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
  );
}

async function buildForNode() {
  const { metafile } = await build({
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
    metafile: true,
    logLevel: 'warning',
  });
  sweep(dist, new Set(Object.keys(metafile.outputs).map((path) => basename(path))));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // For a package: nothing of earlier builds.
  if (process.argv.includes('--anew')) rmSync(dist, { recursive: true, force: true });
  await buildAll();
}
