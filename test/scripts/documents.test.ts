import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { anchorOf } from '../../scripts/docs-pages.js';
import { documents, readDocument, root } from '../docs/documents.ts';
test.each(documents)('every file that %s links to exists', (document) => {
  const text = readDocument(document);
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link = '']) => link);
  const missing = links.filter((link) => !existsSync(join(root, dirname(document), link)));
  expect(missing).toEqual([]);
});

/** Anchors of a document's headings. A second heading of a name gets a number. */
function anchorsIn(path: string): Set<string> {
  const text = readFileSync(join(root, path), 'utf8').replaceAll(/^```[^]*?^```$/gm, '');
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.matchAll(/^#{1,6} (.*)$/gm)) {
    const anchor = anchorOf(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/[`*]/g, ''));
    let count = 0;
    while (anchors.has(count === 0 ? anchor : `${anchor}-${count}`)) count++;
    anchors.add(count === 0 ? anchor : `${anchor}-${count}`);
  }
  return anchors;
}

test('every heading that a document links to exists', () => {
  const missing = documents.flatMap((document) =>
    [...readDocument(document).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)]
      .filter(([, path = '']) => path === '' || path.endsWith('.md'))
      .filter(([, path = '', anchor = '']) => {
        const target = path === '' ? document : join(dirname(document), path);
        return existsSync(join(root, target)) && !anchorsIn(target).has(anchor);
      })
      .map(([link]) => `${document}: ${link}`),
  );
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
