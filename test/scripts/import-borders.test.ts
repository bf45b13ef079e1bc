import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Top-level folder -> the other top-level folders that its files may import, types included. */
const ALLOWED: Record<string, readonly string[]> = {
  shared: [],
  coordinator: ['shared'],
  'worker-node': ['shared'],
  'worker-browser': ['shared'],
  cli: ['shared', 'coordinator', 'worker-node'],
};

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\1/g;
const TYPE_IMPORT = /^\s*(?:import|export)\s+type\b/;

interface Import {
  from: string;
  to: string;
  isTypeOnly: boolean;
}

/** Relative imports of a source text, static, dynamic and re-exported. */
function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(IMPORT)].map((match) => {
    const statementStart = Math.max(
      source.lastIndexOf('\nimport', match.index),
      source.lastIndexOf('\nexport', match.index),
    );
    const isTypeOnly = TYPE_IMPORT.test(source.slice(statementStart + 1, match.index + 1));
    return { from: file, to: normalize(join(dirname(file), match[2]!)), isTypeOnly };
  });
}

const files = Object.keys(ALLOWED).flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name))),
);
const imports = files.flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')));

function crossings(all: readonly Import[]): string[] {
  const folderOf = (path: string) => path.split('/')[0]!;
  return all
    .filter(({ from, to }) => folderOf(from) !== folderOf(to))
    .filter(({ from, to }) => !ALLOWED[folderOf(from)]!.includes(folderOf(to)))
    .map(({ from, to }) => `${from} -> ${to}`);
}

/** First cycle of imports of values, dynamic ones included, or null. */
function findCycle(all: readonly Import[]): string[] | null {
  const next = new Map<string, string[]>();
  for (const { from, to, isTypeOnly } of all) {
    if (!isTypeOnly) next.set(from, [...(next.get(from) ?? []), to]);
  }
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    path.push(file);
    for (const to of next.get(file) ?? []) {
      const cycle = visit(to);
      if (cycle !== null) return cycle;
    }
    path.pop();
    done.add(file);
    return null;
  };
  for (const file of next.keys()) {
    const cycle = visit(file);
    if (cycle !== null) return cycle;
  }
  return null;
}

describe('borders between the top-level folders', () => {
  it('reads static, dynamic, type and re-exported imports', () => {
    const source =
      "import './a.ts';\nimport type { B } from './b.ts';\nexport { c } from '../c.ts';\nvoid import('./d.ts');\n";
    expect(importsOf('shared/x/y.ts', source)).toEqual([
      { from: 'shared/x/y.ts', to: 'shared/x/a.ts', isTypeOnly: false },
      { from: 'shared/x/y.ts', to: 'shared/x/b.ts', isTypeOnly: true },
      { from: 'shared/x/y.ts', to: 'shared/c.ts', isTypeOnly: false },
      { from: 'shared/x/y.ts', to: 'shared/x/d.ts', isTypeOnly: false },
    ]);
  });

  it('are crossed downward only', () => {
    expect(imports.length).toBeGreaterThan(500);
    expect(crossings(imports)).toEqual([]);
    expect(crossings([{ from: 'shared/a.ts', to: 'coordinator/b.ts', isTypeOnly: true }])).toHaveLength(1);
  });

  it('no import of a value leads back to its own file, dynamic imports included', () => {
    expect(findCycle(imports)).toBeNull();
    const cycle = [
      { from: 'a.ts', to: 'b.ts', isTypeOnly: false },
      { from: 'b.ts', to: 'a.ts', isTypeOnly: false },
    ];
    expect(findCycle(cycle)).toEqual(['a.ts', 'b.ts', 'a.ts']);
  });
});
