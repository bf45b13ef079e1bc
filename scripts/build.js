import {
  copyFileSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBrowserLibrary, buildPage } from './build-page.js';
import { buildTypes } from './build-types.js';
import { isBuilt, stamp } from './is-built.js';
import { ensureInstalled, esbuild, lockFile, root } from './install.js';
import { withLock } from './lock.js';
import { sweep } from './sweep.js';

const dist = `${root}/dist`;
/** File with the licenses of the packages that bundles for Node contain. */
const LICENSES = 'LICENSES.txt';
/** Packages that bin/cli.cjs contains. */
const CLI_PACKAGES = ['commander', 'fastest-levenshtein'];
/** A copy of the Apache License 2.0, which is the license of tfjs. */
const APACHE = 'node_modules/@huggingface/tokenizers/LICENSE';
/** WebAssembly of tfjs' backend, which its loader reads beside the bundle. */
const WASM = 'tfjs-backend-wasm-simd.wasm';
const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
  readFileSync(`${root}/package.json`, 'utf8'),
);
/** Public entries that run in Node, and the programs of threads. */
const NODE_ENTRIES = [
  'coordinator/index.ts',
  'coordinator/model-file/hdf5-thread.ts',
  'coordinator/task/task-file-hooks.ts',
  'shared/protocol/index.ts',
  'worker-node/index.ts',
];
const ENGINE_THREAD = 'worker-node/thread/engine-thread.ts';

/** Bundles the program into dist/: public entries and commands for Node, the page and its entry for browsers. */
export function buildAll() {
  return withBuildLock(buildUnlocked);
}

const withBuildLock = (work) =>
  withLock(lockFile, () => console.error('Another process is building; waiting for it ...'), work);

async function buildUnlocked() {
  const startedAt = new Date();
  await Promise.all([buildForNode(), buildForBrowser()]);
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
 * Bundles the command line into one file that needs no package: bin/cli.cjs. The file is part of the repository, so that
 * help and `plan` work in a fresh clone; a test compares it with its sources. Dynamic imports lead to dist/, which exists
 * only when a command has installed and built what is missing.
 * @returns its text, and the sources that it imports from dist/
 */
export async function bundleCli() {
  const imported = new Set();
  const { outputFiles, metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints: ['cli/main.ts'],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    // commander is CommonJS and requires modules of Node.
    format: 'cjs',
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
    plugins: [{ name: 'dynamic imports', setup: (build) => importFromDist(build, imported) }],
  });
  const packages = Object.keys(metafile.inputs).filter((path) => path.includes('node_modules/'));
  const others = packages.filter((path) => !CLI_PACKAGES.includes(path.split('/')[1]));
  if (others.length > 0)
    throw new Error(`bin/cli.cjs may contain ${CLI_PACKAGES.join(' and ')} only, not ${others.join(', ')}.`);
  const licenses = CLI_PACKAGES.map((name) => `${name}:\n${licenseText(`node_modules/${name}`)}\n`);
  return {
    text: `/* Built from cli/main.ts by scripts/build.js. It contains two packages.\n${licenses.join('\n')}*/\n${outputFiles[0].text}`,
    imports: [...imported].sort(),
  };
}

/** Rewrites dynamic imports of sources to their files in dist/. */
function importFromDist(build, imported) {
  build.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
    if (kind !== 'dynamic-import') return undefined;
    const source = relative(root, join(resolveDir, path)).replaceAll('\\', '/');
    imported.add(source);
    return { path: `../dist/${source.replace(/\.ts$/, '.js')}`, external: true };
  });
}

/** @returns the sources that the command line imports from dist/ */
async function buildCli() {
  const file = `${root}/bin/cli.cjs`;
  const { text, imports } = await bundleCli();
  if (readFileSync(file, { encoding: 'utf8', flag: 'a+' }) !== text) writeFileSync(file, text);
  return imports;
}

async function buildForBrowser() {
  const { tab } = await buildPage(root, `${dist}/page`);
  await buildBrowserLibrary(root, `${dist}/worker-browser`, tab);
}

async function buildForNode() {
  const commandModules = await buildCli();
  const metafiles = await Promise.all(
    // A program of its own is one file, and what it imports later others. Files that it shares with others would be 27.
    [[...new Set([...NODE_ENTRIES, ...commandModules])], [ENGINE_THREAD]].map(bundleForNode),
  );
  copyFileSync(`${root}/node_modules/@tensorflow/tfjs-backend-wasm/dist/${WASM}`, `${dist}/${WASM}`);
  writeFileSync(`${dist}/${LICENSES}`, licensesOf(metafiles.flatMap(({ inputs }) => Object.keys(inputs))));
  sweep(
    dist,
    new Set(metafiles.flatMap(({ outputs }) => Object.keys(outputs).map((path) => basename(path)))),
  );
}

/** @returns esbuild's list of what it has read and written */
async function bundleForNode(entryPoints) {
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints,
    outdir: dist,
    outbase: '.',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // What users install. Of other packages, the bundle contains what is used: tfjs would be 300 MB, protobufjs 4 MB.
    external: Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }),
    alias: { '@tensorflow/tfjs': `${root}/scripts/tfjs-for-node.js` },
    mainFields: ['module', 'main'],
    plugins: [{ name: 'modules of Node', setup: useModulesOfNode }],
    define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
    sourcemap: true,
    // Stack traces name files and lines; the sources themselves would double the package.
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/**
 * Files in CommonJS get modules of Node, and packages that may be missing, without `require`, which modules do not have. esbuild
 * follows their other requires.
 */
function useModulesOfNode(build) {
  const filter = /wasm-out.*\.js$|tfjs-core.dist.platforms.platform_node\.js$|node_modules.ws.lib.*\.js$/;
  // An import of it reads every property of `process`, some of which take milliseconds.
  build.onResolve({ filter: /^node:process$/ }, () => ({ path: 'process', namespace: 'global' }));
  build.onLoad({ filter: /./, namespace: 'global' }, ({ path }) => ({
    contents: `module.exports = globalThis.${path};`,
  }));
  build.onLoad({ filter }, ({ path }) => ({
    contents: readFileSync(path, 'utf8').replace(/\brequire\((['"])([^.].*?)\1\)/g, (_, _quote, name) =>
      isBuiltin(name)
        ? `process.getBuiltinModule('${name}')`
        : `process.getBuiltinModule('module').createRequire(__filename)('${name}')`,
    ),
  }));
}

/** Text of a package's license. @param folder of the package, relative to the root */
function licenseText(folder) {
  const file = readdirSync(`${root}/${folder}`).find((entry) => /^licen[cs]e(\.md)?$/i.test(entry));
  return file === undefined ? undefined : readFileSync(`${root}/${folder}/${file}`, 'utf8').trim();
}

/** Licenses of the packages that a bundle contains. */
function licensesOf(inputs) {
  const packages = inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? []);
  const texts = [...new Set(packages)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(`${root}/${folder}/package.json`, 'utf8'));
    // Packages of tfjs have their notices in their files, which the bundles keep, and no text.
    const text = licenseText(folder) ?? `${license}, see the notices in its files`;
    return `${name} ${version}\n\n${text}\n`;
  });
  return [...texts, readFileSync(`${root}/${APACHE}`, 'utf8')].join('\n');
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await ensureInstalled({ checks: true });
  // A package must not contain files of earlier builds.
  if (process.argv.includes('--anew')) rmSync(dist, { recursive: true, force: true });
  await buildAll();
  buildTypes();
}
