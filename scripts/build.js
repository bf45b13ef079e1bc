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
  return withBuildLock(buildUnlocked);
}

const withBuildLock = (work) =>
  withLock(lockFile, () => console.error('Another process is building; waiting for it ...'), work);

async function buildUnlocked() {
  const startedAt = new Date();
  await Promise.all([buildForNode(), buildPage(root, `${dist}/page`), buildCli()]);
  // A source that changes during the build is newer than this stamp.
  writeFileSync(stamp, '');
  utimesSync(stamp, startedAt, startedAt);
}

/** Builds, unless dist/ is newer than all sources. */
export async function ensureBuilt() {
  if (isBuilt()) return;
  await withBuildLock(async () => {
    if (!isBuilt()) await buildUnlocked();
  });
}

/**
 * Text of bin/cli.cjs: the command line as one file that needs no package. The file is part of the repository, so that
 * help and `plan` work in a fresh clone; a test compares it with its sources.
 * @returns {Promise<string>}
 */
export async function bundleCli() {
  const { outputFiles } = await esbuild({
    absWorkingDir: root,
    entryPoints: ['cli/main.ts'],
    bundle: true,
    minify: true,
    write: false,
    // commander is CommonJS and requires modules of Node.
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
  // A package must not contain files of earlier builds.
  if (process.argv.includes('--anew')) rmSync(dist, { recursive: true, force: true });
  await buildAll();
}
