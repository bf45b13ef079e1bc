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
  const engine = await bundle('worker-browser/engine/engine-worker.ts', { WASM_FILES: wasm });
  const tab = await bundle('worker-browser/tab-worker.ts', { ENGINE_WORKER_FILE: engine.name });
  const page = await bundle('worker-browser/page/page.ts', { TAB_WORKER_FILE: tab.name });
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
  const files = new Set([...Object.values(wasm), ...assets.values()]);
  for (const { outputs } of [engine, tab, page, style]) outputs.forEach((name) => files.add(name));
  await Promise.all([...files].map((name) => compress(join(outdir, name))));
  await compress(join(outdir, 'index.html'), Buffer.from(html));
  await writeFile(join(outdir, 'index.html'), html);
  sweep(outdir, files);
  return { tab: tab.name };
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
