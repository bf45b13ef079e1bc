import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const documents = [
  ...['README.md', 'PROTOCOL.md', 'CONTRIBUTING.md', 'docs', 'docs/guide', 'docs/decisions'].flatMap(
    (path) =>
      path.endsWith('.md')
        ? [path]
        : readdirSync(join(root, path))
            .filter((name) => name.endsWith('.md'))
            .map((name) => join(path, name)),
  ),
];

test.each(documents)('every file that %s links to exists', (document) => {
  const text = readFileSync(join(root, document), 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link = '']) => link);
  const missing = links.filter((link) => !existsSync(join(root, dirname(document), link)));
  expect(missing).toEqual([]);
});

test('the commands of README and of the help name existing files', () => {
  const files = ['README.md', 'cli/predict.ts', 'cli/evaluate.ts'].flatMap((path) =>
    readFileSync(join(root, path), 'utf8')
      .split('\n')
      .filter((line) => /gradcast(\.js)? predict /.test(line))
      .flatMap((line) => line.match(/[\w/.-]+\.png/g) ?? []),
  );
  expect(files.length).toBeGreaterThan(1);
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});
