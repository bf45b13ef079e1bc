import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findCycle, importsOf } from '../../scripts/import-cycles.js';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-cycles-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Writes modules and finds a cycle among them. */
async function cycleOf(modules: Readonly<Record<string, string>>): Promise<string[] | null> {
  await writeFile(join(folder, 'tsconfig.json'), '{"compilerOptions":{"verbatimModuleSyntax":true}}');
  for (const [name, text] of Object.entries(modules)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return findCycle(await importsOf(folder));
}

test('a cycle is found through folders, re-exports and imports at run time', async () => {
  const cycle = await cycleOf({
    'start.ts': "import { a } from './a.ts'; export const start = a;",
    'a.ts': "export { b as a } from './below/b.ts';",
    'below/b.ts': "export const b = () => import('../c.ts');",
    'c.ts': "import './a.ts';",
  });
  expect(cycle).toEqual(['a.ts', 'below/b.ts', 'c.ts', 'a.ts']);
});

test('imports of types and of packages, and modules that are imported twice, are no cycle', async () => {
  const cycle = await cycleOf({
    'a.ts': "import { b } from './b.ts'; import './c.ts'; import 'ws'; export type A = typeof b;",
    'b.ts': "import type { A } from './a.ts'; import './c.ts'; export const b = 1; export type B = A;",
    'c.ts': "import { readFile } from 'node:fs'; export const c = readFile;",
    'node_modules/p/d.ts': "import './d.ts';",
  });
  expect(cycle).toBeNull();
});

test('a module that imports itself is a cycle', () => {
  expect(findCycle(new Map([['a.ts', ['a.ts']]]))).toEqual(['a.ts', 'a.ts']);
});
