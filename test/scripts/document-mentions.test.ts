import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['cli', 'coordinator', 'shared', 'worker-node', 'worker-browser', 'test', 'bench', 'scripts'];

test('documents that the code mentions exist', () => {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((path) => join(folder, path))
      .filter((path) => /\.(?:ts|js|py|as)$/.test(path) && !path.includes('node_modules')),
  );
  const mentions = files.flatMap((path) =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/\bdocs\/[\w/.-]+\.(?:md|js|png)\b/g)].map(
      ([document]) => ({ path, document }),
    ),
  );
  expect(mentions.length).toBeGreaterThan(5);
  expect(mentions.filter(({ document }) => !existsSync(join(root, document)))).toEqual([]);
});
