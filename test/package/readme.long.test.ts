import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { packAndInstall, readSource, type PackedPackage } from './packed.ts';

let packed: PackedPackage;
beforeAll(async () => void (packed = await packAndInstall()), 180_000);
afterAll(() => packed.remove());

test('the twelve lines of the README train with two workers, here on fewer samples', async () => {
  const [, program = ''] = /```js\n([^]*?)```/.exec(readSource('README.md')) ?? [];
  expect(program.trim().split('\n').length).toBeLessThanOrEqual(12);
  await mkdir(join(packed.folder, 'digits'));
  await writeDigits(
    join(packed.folder, 'digits'),
    syntheticDigits({ seed: 1, trainCount: 256, testCount: 64 }),
  );
  const shorter = program.replace("data: 'fashion-mnist'", "data: 'digits'");
  expect(shorter).toContain("data: 'digits'");
  const lines = packed.run('readme.mjs', shorter).trim().split('\n');
  expect(lines).toHaveLength(3);
  for (const [i, line] of lines.entries()) expect(line).toMatch(new RegExp(`^${i + 1} 0\\.\\d+$`));
  const { userDefinedMetadata } = JSON.parse(
    await readFile(join(packed.folder, 'model/model.json'), 'utf8'),
  ) as { userDefinedMetadata: { epochs: number } };
  expect(userDefinedMetadata.epochs).toBe(3);
});
