import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { esbuild } from './install.js';
import { sweep } from './sweep.js';

// Vitest builds before its tests and has no import.meta.resolve.
const { resolve } = createRequire(import.meta.url);
/** Names under which tfjs loads its .wasm files. */
const WASM_NAME = /^tfjs-backend-wasm(-simd)?\.wasm$/;

/** The oldest browsers that the page supports. */
export const BROWSERS = ['chrome114', 'firefox114', 'safari16.4'];

/**
 * Builds the page and its Web Workers. The name of every file but index.html contains a hash of its content, so that
 * browsers can cache it forever. Each file is also stored compressed. Files of earlier builds stay for a day, for open
 * pages.
 */
export async function buildPage(root, outdir) {
  await mkdir(outdir, { recursive: true });
  const put = (name, bytes) => putHashed(outdir, name, bytes);
  const bundle = (entry, define = {}) => bundleHashed(root, outdir, entry, define);

  const folder = dirname(resolve('@tensorflow/tfjs-backend-wasm'));
  const wasm = {};
  for (const name of (await readdir(folder)).filter((file) => WASM_NAME.test(file))) {
    wasm[name] = await put(name, await readFile(join(folder, name)));
  }
  const engine = await bundle('worker-browser/engine/engine-worker.ts', {
    WASM_FILES: wasm,
    IS_SERVED: true,
  });
  const tab = await bundle('worker-browser/tab-worker.ts', {
    ENGINE_WORKER_FILE: engine.name,
    IS_SERVED: true,
  });
  const page = await bundle('worker-browser/page/page.ts', {
    TAB_WORKER_FILE: tab.name,
    GRADCAST_VERSION: JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version,
  });
  await bundleLibrary(root, outdir, tab.name);
  const style = await bundle('worker-browser/page/style.css');

  const source = join(root, 'worker-browser/page');
  const assets = new Map([
    ['page.js', page.name],
    ['style.css', style.name],
  ]);
  for (const name of await readdir(source)) {
    if (extname(name) === '.svg') {
      assets.set(name, await put(name, await readFile(join(source, name))));
    }
  }
  const html = (await readFile(join(source, 'index.html'), 'utf8')).replace(
    /(href|src)="([^"]+)"/g,
    (whole, attribute, name) => (assets.has(name) ? `${attribute}="${assets.get(name)}"` : whole),
  );
  // index.html is written last: it names all other files and marks the build as complete.
  const files = new Set([...Object.values(wasm), ...assets.values(), ...LIBRARY_FILES]);
  for (const { outputs } of [engine, tab, page, style]) outputs.forEach((name) => files.add(name));
  for (const name of LIBRARY_FILES) await compress(join(outdir, name), await readFile(join(outdir, name)));
  await Promise.all([...files].map((name) => compress(join(outdir, name))));
  await compress(join(outdir, 'index.html'), Buffer.from(html));
  await writeFile(join(outdir, 'index.html'), html);
  sweep(outdir, files);
  return { tab: tab.name };
}

/** Names under which pages load contribute() from a coordinator: a module, and a script that defines `gradcast`. */
const LIBRARY_FILES = ['gradcast.js', 'gradcast.global.js'];

/** Bundles contribute() for pages without a bundler. */
async function bundleLibrary(root, outdir, tabWorker) {
  const [module, script] = LIBRARY_FILES;
  const options = {
    absWorkingDir: root,
    entryPoints: ['worker-browser/index.ts'],
    bundle: true,
    minify: true,
    platform: 'browser',
    target: BROWSERS,
    logLevel: 'warning',
  };
  const define = { TAB_WORKER_FILE: JSON.stringify(tabWorker), IS_SERVED: 'true' };
  await esbuild({ ...options, outfile: join(outdir, module), format: 'esm', define });
  await esbuild({
    ...options,
    outfile: join(outdir, script),
    format: 'iife',
    globalName: 'gradcast',
    banner: { js: 'var gradcastScript = document.currentScript.src;' },
    define: { ...define, 'import.meta.url': 'gradcastScript' },
  });
}

/**
 * Bundles contribute() and its Web Workers for the package. Each Web Worker is one file beside the module, so that bundlers find all
 * of them.
 */
export async function buildBrowserLibrary(root, outdir, tabWorker) {
  const shared = {
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: BROWSERS,
    logLevel: 'warning',
  };
  const define = {
    IS_SERVED: 'false',
    TAB_WORKER_FILE: JSON.stringify(tabWorker),
    ENGINE_WORKER_FILE: '""',
    WASM_FILES: '{}',
  };
  const workers = {
    'tab-worker': 'worker-browser/tab-worker.ts',
    'engine-worker': 'worker-browser/engine/engine-worker.ts',
  };
  await esbuild({
    ...shared,
    entryPoints: { index: 'worker-browser/index.ts' },
    outdir,
    define,
    sourcemap: true,
    // Bundlers must not see the files of the branch that is never taken.
    minifySyntax: true,
  });
  await esbuild({ ...shared, entryPoints: workers, outdir, define, minify: true });
  const folder = dirname(resolve('@tensorflow/tfjs-backend-wasm'));
  for (const name of (await readdir(folder)).filter((file) => WASM_NAME.test(file)))
    await writeFile(join(outdir, name), await readFile(join(folder, name)));
}

/** Writes a file under a name with a hash, like esbuild's. @returns the name */
async function putHashed(outdir, name, bytes) {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8).toUpperCase();
  const ending = extname(name);
  const hashed = `${basename(name, ending)}-${hash}${ending}`;
  await writeFile(join(outdir, hashed), bytes);
  return hashed;
}

/** Bundles an entry. @returns the name of its bundle, and the names of all written files */
async function bundleHashed(root, outdir, entry, define) {
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    minify: true,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: BROWSERS,
    define: Object.fromEntries(Object.entries(define).map(([name, value]) => [name, JSON.stringify(value)])),
    logLevel: 'warning',
  });
  const outputs = Object.keys(metafile.outputs).map((path) => basename(path));
  const [, { name }] = Object.entries(metafile.outputs)
    .map(([path, { entryPoint }]) => [entryPoint, { name: basename(path) }])
    .find(([entryPoint]) => entryPoint === entry);
  return { name, outputs };
}

/** Writes FILE.br and FILE.gz, unless FILE has a hash in its name and an earlier build has written them. */
async function compress(file, fresh) {
  const bytes = fresh ?? (await readFile(file));
  const ways = [
    ['br', promisify(brotliCompress)],
    ['gz', promisify(gzip)],
  ];
  for (const [ending, way] of ways) {
    if (fresh === undefined && existsSync(`${file}.${ending}`)) continue;
    const fresher = `${file}.${ending}.${process.pid}`;
    await writeFile(fresher, await way(bytes));
    await rename(fresher, `${file}.${ending}`);
  }
}
