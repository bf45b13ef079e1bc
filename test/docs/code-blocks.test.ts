import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compilerFile } from '../../scripts/build-types.js';
import { codeBlocks, documents, root } from './documents.ts';

const ENTRIES = {
  gradcast: 'coordinator/index.ts',
  'gradcast/worker': 'worker-node/index.ts',
  'gradcast/browser': 'worker-browser/index.ts',
  'gradcast/protocol': 'shared/protocol/index.ts',
};

test('programs in TypeScript in the documents have the types of the package', () => {
  const programs = documents
    .flatMap(codeBlocks)
    .filter(({ language, text }) => language === 'ts' && text.includes("from 'gradcast"));
  expect(programs.length).toBeGreaterThan(4);
  const folder = mkdtempSync(join(tmpdir(), 'gradcast-documents-'));
  try {
    mkdirSync(join(folder, 'programs'));
    for (const { document, line, text } of programs) {
      const name = `${document.replaceAll('/', '-').replace(/\.md$/, '')}-${line}.ts`;
      writeFileSync(
        join(folder, 'programs', name),
        text.includes('export ') ? text : `${text}\nexport {};\n`,
      );
    }
    const paths = Object.fromEntries(
      Object.entries(ENTRIES).map(([name, file]) => [name, [join(root, file)]]),
    );
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          lib: ['ES2023', 'DOM', 'DOM.Iterable', 'WebWorker'],
          module: 'ESNext',
          moduleResolution: 'Bundler',
          paths,
          typeRoots: [join(root, 'node_modules/@types')],
          // Programs of users are strict, and no stricter.
          noUncheckedIndexedAccess: false,
          noUnusedLocals: false,
        },
        include: ['programs'],
      }),
    );
    writeFileSync(join(folder, 'programs/wrong.ts'), "import { nothing } from 'gradcast';\nvoid nothing;\n");
    const { stdout } = spawnSync(process.execPath, [compilerFile(), '-p', folder], { encoding: 'utf8' });
    // The sources are held to stricter settings of their own.
    const errors = stdout.split('\n').filter((line) => line.includes('programs/'));
    expect(errors.map((line) => line.replace(/.*programs\//, ''))).toEqual([
      expect.stringMatching(/^wrong\.ts\(1,10\): error TS2305/),
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
