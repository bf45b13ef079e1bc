import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readFiles } from '../../scripts/architecture.js';

const root = new URL('../../', import.meta.url);
const FOLDERS = ['cli', 'coordinator', 'shared', 'worker-node', 'worker-browser', 'test', 'bench', 'scripts'];

test('documents that the code mentions exist', () => {
  const mentions = readFiles(FOLDERS).flatMap(({ path, text }) =>
    [...text.matchAll(/\bdocs\/[\w/.-]+\.(?:md|js|png)\b/g)].map(([document]) => ({ path, document })),
  );
  expect(mentions.length).toBeGreaterThan(5);
  expect(mentions.filter(({ document }) => !existsSync(new URL(document, root)))).toEqual([]);
});
