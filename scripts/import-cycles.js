// node scripts/import-cycles.js: fails where modules import each other in a circle. Imports of types alone do not count:
// they are gone at run time. esbuild finds the imports in half a second; eslint's rule for this takes five.
import { readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled, esbuild, root } from './install.js';

const IGNORED = new Set(['node_modules', 'dist', 'runs', 'coverage']);

/**
 * @param imports for each module the modules that it imports
 * @returns the modules of one cycle, from the first to itself again, or null if there is none
 */
export function findCycle(imports) {
  const done = new Set();
  const path = [];
  const visit = (module) => {
    if (done.has(module)) return null;
    const from = path.indexOf(module);
    if (from >= 0) return [...path.slice(from), module];
    path.push(module);
    for (const imported of imports.get(module) ?? []) {
      const cycle = visit(imported);
      if (cycle !== null) return cycle;
    }
    path.pop();
    done.add(module);
    return null;
  };
  for (const module of imports.keys()) {
    const cycle = visit(module);
    if (cycle !== null) return cycle;
  }
  return null;
}

/** For each TypeScript module of a folder, and each module that these import, the modules that it imports; packages left out. */
export async function importsOf(folder) {
  const { metafile } = await esbuild({
    absWorkingDir: folder,
    entryPoints: modulesIn(folder),
    outdir: join(folder, 'dist'),
    write: false,
    bundle: true,
    metafile: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    treeShaking: false,
    loader: { '.css': 'empty' },
    logLevel: 'error',
  });
  const modules = Object.entries(metafile.inputs).sort(([one], [other]) => (one < other ? -1 : 1));
  return new Map(
    modules.map(([module, { imports }]) => [
      module,
      imports.filter(({ external }) => !external).map(({ path }) => path),
    ]),
  );
}

function modulesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      return IGNORED.has(entry.name) || entry.name.startsWith('.') ? [] : modulesIn(path);
    }
    return /(?<!\.d)\.ts$/.test(entry.name) ? [path] : [];
  });
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await ensureInstalled({ checks: true });
  const imports = await importsOf(root);
  const cycle = findCycle(imports);
  if (cycle === null) console.log(`${imports.size} modules, no cycle of imports.`);
  else {
    console.error(`These modules import each other in a circle:\n  ${cycle.join('\n  -> ')}`);
    process.exit(1);
  }
}
