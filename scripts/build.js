import { readFileSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPage } from './build-page.js';
import { isBuilt, stamp } from './is-built.js';
import { ensureInstalled, esbuild, lockFile, root } from './install.js';
import { withLock } from './lock.js';
import { sweep } from './sweep.js';

const dist = `${root}/dist`;

/** Bundles the program into dist/: the coordinator and the Node worker for Node, the page for browsers. */
export function buildAll() {
  return alone(buildBoth);
}

const alone = (work) =>
  withLock(lockFile, () => console.error('Another start builds; waiting for it ...'), work);

async function buildBoth() {
  const startedAt = new Date();
  await Promise.all([buildForNode(), buildPage(root, `${dist}/page`), buildCli()]);
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

/**
 * The command line as one file that needs no package: bin/cli.cjs. It is part of the repository, so that help and `plan`
 * work in a clone where nothing is installed; a test holds it and its sources together.
 * @returns {Promise<string>} its text
 */
export async function bundleCli() {
  const { outputFiles } = await esbuild({
    absWorkingDir: root,
    entryPoints: ['cli/main.ts'],
    bundle: true,
    minify: true,
    write: false,
    // Node's modules are required by commander, which is CommonJS.
    format: 'cjs',
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
  });
  const license = readFileSync(`${root}/node_modules/commander/LICENSE`, 'utf8').trim();
  return `/* Built from cli/main.ts by scripts/build.js. It contains commander:\n${license}\n*/\n${outputFiles[0].text}`;
}

async function buildCli() {
  const file = `${root}/bin/cli.cjs`;
  const text = await bundleCli();
  if (readFileSync(file, { encoding: 'utf8', flag: 'a+' }) !== text) writeFileSync(file, text);
}

async function buildForNode() {
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints: ['cli/commands.ts', 'worker-node/thread/engine-thread.ts'],
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
  await ensureInstalled();
  // For a package: nothing of earlier builds.
  if (process.argv.includes('--anew')) rmSync(dist, { recursive: true, force: true });
  await buildAll();
}
