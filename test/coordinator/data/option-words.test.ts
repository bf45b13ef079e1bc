import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renameDataOptions, withDataOptionNames } from '../../../coordinator/data/option-words.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import { flagName, keyName } from '../../../shared/util/option-names.ts';
import { recordingReport } from '../../support/test-coordinator.ts';

test.each([
  [
    'a.csv (from --data): point --data at its folder.',
    'a.csv (from data.source): point data.source at its folder.',
  ],
  ['(--validation-split, --test-data)', '(data.validationSplit, data.test)'],
  [
    'Leave it out with --ignore area. --types y:number',
    'Leave it out with data.ignore area. data.types y:number',
  ],
  ['Use --image-size, or --sequence-length.', 'Use data.imageSize, or data.sequenceLength.'],
  [
    '/tmp/--data/x, --database, x--data and --workers stay.',
    '/tmp/--data/x, --database, x--data and --workers stay.',
  ],
])('%s', (line, renamed) => {
  expect(renameDataOptions(line, keyName)).toBe(renamed);
  expect(renameDataOptions(line, flagName)).toBe(line);
});

test('lines and errors have the names, other errors stay', async () => {
  const report = recordingReport();
  const error = new DataError('No column (--target).');
  const opened = withDataOptionNames(keyName, report, (named) => {
    named.info('Validation (--validation-split).');
    named.warn('Leave out --transpose.');
    return Promise.reject(error);
  });
  await expect(opened).rejects.toEqual(new DataError('No column (data.target).'));
  await expect(opened).rejects.toBeInstanceOf(DataError);
  expect(report.lines).toEqual(['Validation (data.validationSplit).', '! Leave out data.transpose.']);
  const other = new RangeError('--target');
  await expect(withDataOptionNames(keyName, report, () => Promise.reject(other))).rejects.toBe(other);
});

test('every flag in the texts of data has a key', () => {
  const folder = 'coordinator/data';
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(folder, path), 'utf8').replace(/^\s*(\/?\*|\/\/).*$/gm, ''));
  const flags = new Set(sources.join('\n').match(/(?<=['"` ])--[a-z][a-z-]*/g));
  // Only `data inspect` prints it; the other is of heif-convert.
  for (const other of ['--class-weights', '--out']) flags.delete(other);
  expect(flags.size).toBeGreaterThan(10);
  expect([...flags].filter((flag) => renameDataOptions(flag, keyName) === flag)).toEqual([]);
});
