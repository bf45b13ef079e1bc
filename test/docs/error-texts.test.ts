import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDocument, root } from './documents.ts';

/** Sources of the program, with texts in one piece that are written as sums of several. */
const sources = ['cli', 'coordinator', 'shared', 'worker-browser', 'worker-node']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => readFileSync(join(root, folder, path), 'utf8')),
  )
  .join('\n')
  .replaceAll(/['"`]\s*\+\s*['"`]/g, '');

test('every error text of the troubleshooting page is one that the program prints', () => {
  const texts = [...readDocument('docs/guide/troubleshooting.md').matchAll(/^\| `([^`]+)`/gm)].map(
    ([, text = '']) => text,
  );
  expect(texts.length).toBeGreaterThan(40);
  const pieces = texts.flatMap((text) => text.split('...').map((piece) => piece.trim()));
  expect(pieces.filter((piece) => piece.length > 2 && !sources.includes(piece))).toEqual([]);
});
