import { describe, expect, it } from 'vitest';
import { findCircles, findImports, readSources, type Edge } from '../../scripts/architecture.js';

/** Top-level folder -> the other top-level folders that its files may import, types included. */
const ALLOWED: Record<string, readonly string[]> = {
  shared: [],
  coordinator: ['shared'],
  'worker-node': ['shared'],
  'worker-browser': ['shared'],
  cli: ['shared', 'coordinator', 'worker-node'],
};
/** The library: it puts coordinator and workers together, and the rest of the coordinator does not know it. */
const LIBRARY = 'coordinator/api';
const LIBRARY_MAY_IMPORT = ['shared', 'coordinator', 'worker-node'];

const imports = findImports(readSources());

const isLibrary = (path: string): boolean => path.startsWith(`${LIBRARY}/`);
const allowedFor = (path: string): readonly string[] =>
  isLibrary(path) ? LIBRARY_MAY_IMPORT : ALLOWED[path.split('/')[0]!]!;

function crossings(all: readonly Edge[]): string[] {
  const folderOf = (path: string) => path.split('/')[0]!;
  return all
    .filter(({ from, to }) => folderOf(from) !== folderOf(to))
    .filter(({ from, to }) => !allowedFor(from).includes(folderOf(to)))
    .map(({ from, to }) => `${from} -> ${to}`);
}

describe('imports between the top-level folders', () => {
  it('are found whether static, dynamic, of types or re-exported', () => {
    const text =
      "import './a.ts';\nimport type { B } from './b.ts';\nexport { c } from '../c.ts';\nvoid import('./d.ts');\n";
    expect(findImports([{ path: 'shared/x/y.ts', text }])).toEqual([
      { from: 'shared/x/y.ts', to: 'shared/x/a.ts', isTypeOnly: false },
      { from: 'shared/x/y.ts', to: 'shared/x/b.ts', isTypeOnly: true },
      { from: 'shared/x/y.ts', to: 'shared/c.ts', isTypeOnly: false },
      { from: 'shared/x/y.ts', to: 'shared/x/d.ts', isTypeOnly: false },
    ]);
  });

  it('run downward only', () => {
    expect(imports.length).toBeGreaterThan(500);
    expect(crossings(imports)).toEqual([]);
    expect(crossings([{ from: 'shared/a.ts', to: 'coordinator/b.ts' }])).toHaveLength(1);
  });

  it('lead to the library from the public entry and the command line alone', () => {
    const importers = imports.filter(({ from, to }) => isLibrary(to) && !isLibrary(from));
    expect([...new Set(importers.map(({ from }) => from))].toSorted()).toEqual([
      'cli/train.ts',
      'coordinator/index.ts',
    ]);
  });

  it('of values form no circle between files, dynamic imports included', () => {
    expect(findCircles(imports.filter(({ isTypeOnly }) => !isTypeOnly))).toEqual([]);
  });
});
