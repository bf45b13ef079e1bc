import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  findCircles,
  findFolderCircles,
  findImports,
  findPrivateWords,
  findShortFiles,
  findUnclearDocstrings,
  readProse,
  readSources,
} from '../../scripts/architecture.js';

const MAX_SHORT_FILES = 15;
const MAX_STEP_FILES = 27;

const sources = readSources();
const imports = findImports(sources);

const architectureUrl = new URL('../../scripts/architecture.js', import.meta.url);
/** Measures in a process of its own: there each source file is one module, as written. */
function measureStepFiles(): string[] {
  const code = `const { findStepFiles } = await import(${JSON.stringify(architectureUrl.href)});
    console.log(JSON.stringify(await findStepFiles()));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
  });
  return JSON.parse(output) as string[];
}

describe('the measures of the architecture', () => {
  it('find circles between files and between folders', () => {
    const edges = [
      { from: 'a/one.ts', to: 'b/two.ts' },
      { from: 'b/two.ts', to: 'c/three.ts' },
      { from: 'b/four.ts', to: 'a/five.ts' },
      { from: 'c/three.ts', to: 'c/six.ts' },
      { from: 'c/six.ts', to: 'c/three.ts' },
    ];
    expect(findCircles(edges)).toEqual([['c/six.ts', 'c/three.ts']]);
    expect(findFolderCircles(edges)).toEqual([['a', 'b']]);
  });

  it('find short files with one importer', () => {
    const file = (path: string, lines: number, text = '') => ({ path, lines, text });
    const importing = (...targets: string[]) => targets.map((target) => `import '${target}';\n`).join('');
    const files = [
      file('a/long.ts', 61),
      file('a/short.ts', 60),
      file('a/shared.ts', 60),
      file('a/one.ts', 100, importing('./long.ts', './short.ts', './shared.ts')),
      file('a/two.ts', 100, importing('./shared.ts')),
    ];
    expect(findShortFiles(files).map(({ path }) => path)).toEqual(['a/short.ts']);
  });

  it('find private words and unclear docstrings', () => {
    // Put together here, so that this file contains neither.
    const word = ['who', 'ever'].join('');
    const opening = ['/', '**'].join('');
    const text = `// For ${word} joins.\n${opening} Number. */\n${opening} Of a run. */\n${opening}\n * Whose it is. */\n`;
    expect(findPrivateWords([{ path: 'a.ts', text }])).toEqual([`a.ts: ${word}`]);
    expect(findUnclearDocstrings([{ path: 'a.ts', text }])).toEqual(['a.ts:3', 'a.ts:4']);
  });
});

describe('the architecture', () => {
  it('has no circle of imports between files, types included', () => {
    expect(findCircles(imports)).toEqual([]);
  });

  it('has no circle of imports between folders, types included', () => {
    expect(findFolderCircles(imports)).toEqual([]);
  });

  it(`has at most ${MAX_SHORT_FILES} short files with one importer`, () => {
    const short = findShortFiles(sources).map(({ path, lines }) => `${path} (${lines} lines)`);
    expect(short.length, `${short.length} short files: ${short.join(', ')}`).toBeLessThanOrEqual(
      MAX_SHORT_FILES,
    );
  });

  it(`runs a training step through at most ${MAX_STEP_FILES} files of coordinator/ and shared/`, () => {
    const files = measureStepFiles();
    for (const path of ['coordinator/training/step.ts', 'shared/worker/session.ts'])
      expect(files).toContain(path);
    expect(files.length, `${files.length} files: ${files.join(', ')}`).toBeLessThanOrEqual(MAX_STEP_FILES);
  });

  it('uses no private word', () => {
    expect(findPrivateWords(readProse())).toEqual([]);
  });

  it('has no docstring that begins with Of, Where, Whose or What', () => {
    expect(findUnclearDocstrings(readProse())).toEqual([]);
  });
});
