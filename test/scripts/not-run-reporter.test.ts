import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { appendCounts, countsText, readCounts } from '../../scripts/test-counts.js';
import { countTests, notRunLine, type RanTest } from '../support/not-run-reporter.ts';

const ran = (state: RanTest['state'], ...tags: string[]): RanTest => ({ state, tags });

test('tests that did not run are counted by requirement, each once, with the command that installs it', () => {
  const skipped = [
    ran('skipped', 'native'),
    ran('skipped', 'native', 'browser'),
    ran('skipped', 'browser'),
    ran('skipped', 'webgpu'),
    ran('skipped', 'mnist'),
    ran('skipped'),
    ran('passed', 'native'),
    ran('failed', 'browser'),
  ];
  expect(notRunLine(skipped)).toBe(
    'Not run: 2 tests that need native TensorFlow (node bin/gradcast.js engine install), ' +
      '1 test that needs a browser (node scripts/get-browser.js), ' +
      '1 test that needs WebGPU (node scripts/get-browser.js, then node bin/gradcast.js engine install --webgpu), ' +
      '1 test that needs MNIST (MNIST_DIR=a folder with its four files), 1 test that this system cannot run.',
  );
});

test('a run without skipped tests has no such line', () => {
  expect(notRunLine([ran('passed', 'native'), ran('failed')])).toBeNull();
});

test('a test that never ended counts as failed', () => {
  expect(countTests([ran('passed'), ran('pending'), ran('failed'), ran('skipped')])).toEqual({
    passed: 1,
    failed: 2,
    skipped: 1,
  });
});

test('counts of several runs are added up', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-counts-'));
  const file = join(folder, 'counts');
  await writeFile(file, '');
  expect(readCounts(file)).toBeNull();
  appendCounts(file, { passed: 5, failed: 0, skipped: 0 });
  appendCounts(file, { passed: 2, failed: 1, skipped: 3 });
  const sum = readCounts(file)!;
  await rm(folder, { recursive: true });
  expect(sum).toEqual({ passed: 7, failed: 1, skipped: 3 });
  expect(countsText(sum)).toBe('7 passed, 1 failed, 3 skipped');
  expect(countsText({ passed: 7, failed: 0, skipped: 0 })).toBe('7 passed, 0 failed');
});
