import { readdirSync, statSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

// Vitest, which builds before its tests, has no import.meta.resolve.
const { resolve } = createRequire(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}/dist`;

/** Bundles the program into dist/: the coordinator and the Node worker for Node, the page for browsers. */
export async function buildAll() {
  await Promise.all([buildForNode(), buildPage(`${dist}/page`)]);
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
    'page/tab-worker.js',
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

/** The page and its Web Worker, each whole in one file, with what they load beside them. */
async function buildPage(outdir) {
  const page = join(root, 'worker-browser/page');
  const wasm = dirname(resolve('@tensorflow/tfjs-backend-wasm'));
  await mkdir(join(outdir, 'wasm'), { recursive: true });
  await Promise.all([
    build({
      absWorkingDir: root,
      entryPoints: [
        'worker-browser/page/page.ts',
        'worker-browser/page/style.css',
        'worker-browser/tab-worker.ts',
      ],
      outdir,
      entryNames: '[name]',
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      target: ['chrome114', 'firefox114', 'safari16.4'],
      logLevel: 'warning',
    }),
    copyFiles(page, outdir, ['.html', '.svg']),
    copyFiles(wasm, join(outdir, 'wasm'), ['.wasm']),
  ]);
}

async function copyFiles(from, to, endings) {
  const names = (await readdir(from)).filter((name) => endings.some((ending) => name.endsWith(ending)));
  await Promise.all(names.map((name) => copyFile(join(from, name), join(to, name))));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await buildAll();
