import { afterAll, beforeAll, expect, test } from 'vitest';
import { packAndInstall, readSource, type PackedPackage } from './packed.ts';

let packed: PackedPackage;
beforeAll(() => (packed = packAndInstall()));
afterAll(() => packed.remove());

test('the program in the README trains with its two workers, here on fewer samples', () => {
  const [, program = ''] = /```js\n([^]*?)```/.exec(readSource('README.md')) ?? [];
  const shorter = program
    .replace('limit: 6000', "limit: 256, syntheticDigits: 'always'")
    .replace('epochs: 2', 'epochs: 1');
  expect(shorter).toContain('limit: 256');
  expect(shorter).toContain('epochs: 1');
  const lines = packed.run('readme.mjs', shorter).trim().split('\n');
  expect(lines.filter((line) => line.includes(' joined: '))).toHaveLength(2);
  expect(lines.at(-1)).toMatch(/^\{ loss: \d+\.\d+, accuracy: 0\.\d+ \}$/);
});
