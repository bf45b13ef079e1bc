// Declarations of the public entries: dist/types/.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { root } from './install.js';

const types = `${root}/dist/types`;
const ENTRIES = [
  'coordinator/index.d.ts',
  'shared/protocol/index.d.ts',
  'worker-browser/index.d.ts',
  'worker-node/index.d.ts',
];
const IMPORT = /(\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\.ts\2/g;

/** Program of the TypeScript compiler, which npm installs for test/: at the root, or below test/. */
export function compilerFile() {
  const folders = ['test/node_modules', 'node_modules'];
  const folder = folders.find((each) => existsSync(`${root}/${each}/typescript`)) ?? 'node_modules';
  return `${root}/${folder}/typescript/bin/tsc`;
}

/** Writes the declarations of the public entries, and of nothing else. @throws Error with the compiler's output */
export function buildTypes() {
  rmSync(types, { recursive: true, force: true });
  const args = [compilerFile(), '-p', 'tsconfig.types.json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`The declarations could not be built:\n${stdout}${stderr}`);
  const reachable = new Set();
  ENTRIES.forEach((entry) => visit(entry, reachable));
  for (const entry of readdirSync(types, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !reachable.has(relative(types, path))) rmSync(path);
  }
  removeEmptyFolders(types);
}

/** Marks a declaration and those that it imports, and makes them import .js: a package's importers know no .ts files. */
function visit(path, reachable) {
  if (reachable.has(path)) return;
  reachable.add(path);
  const file = join(types, path);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(IMPORT, '$1$2$3.js$2'));
  for (const [, , , target] of text.matchAll(IMPORT)) {
    visit(normalize(join(dirname(path), `${target}.d.ts`)), reachable);
  }
}

function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
  }
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
}
