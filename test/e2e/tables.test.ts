import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fixedRandom } from '../support/property.ts';
import { makeRuns } from './runs.ts';

const { scratch, gradcast, history, remove } = await makeRuns();
afterAll(remove);

const SPECIES = ['setosa', 'versicolor', 'virginica'];

/** Three kinds of flowers around centers of their own, with two measures that say something and one that does not. */
function flowers(): string {
  const random = fixedRandom();
  const rows = Array.from({ length: 150 }, (_, i) => {
    const kind = i % 3;
    const measures = [2 * kind + random(), 5 - kind + random(), random()];
    return [i + 1, ...measures.map((value) => value.toFixed(2)), SPECIES[kind]].join(',');
  });
  return `id,petal_length,sepal_width,noise,species\n${rows.join('\n')}\n`;
}

const local = ['--engine', 'wasm', '--workers', '1'];

test('train and evaluate take a CSV file, and classes are learned with the default model', async () => {
  const data = join(scratch, 'flowers.csv');
  await writeFile(data, flowers());
  const out = join(scratch, 'flowers');
  const run = gradcast(
    'train',
    '--data',
    data,
    '--target',
    'species',
    '--epochs',
    '6',
    '--out',
    out,
    ...local,
  );
  expect(await run.ended, run.output()).toBe(0);
  const lines = run.output().split('\n');
  expect(lines).toContain('Target: species, 3 classes: setosa, versicolor, virginica.');
  expect(lines).toContain('Left out: id, which numbers the rows.');
  expect(lines).toContain('Inputs: 3 numbers, standardized: petal_length, sepal_width, noise.');
  expect(lines).toContain('Train on 120 samples, validate on 30 samples');
  expect(run.output()).toMatch(/ predict \S+ YOUR-TABLE\.csv$/m);
  const records = await history('flowers');
  const [first, last] = [records[0], records.at(-1)];
  expect(last!.loss).toBeLessThan(first!.loss);
  expect(last!.val_accuracy).toBeGreaterThan(0.9);

  const model = JSON.parse(await readFile(join(out, 'model', 'model.json'), 'utf8')) as {
    userDefinedMetadata: { preprocessing: { columns: { name: string; mean: number }[] } };
  };
  const { columns } = model.userDefinedMetadata.preprocessing;
  expect(columns.map(({ name }) => name)).toEqual(['petal_length', 'sepal_width', 'noise']);
  expect(columns[0]!.mean).toBeCloseTo(2.5, 0);

  // The rows that training left out, with the statistics of the training part.
  const evaluation = gradcast('evaluate', out, '--data', data, ...local);
  expect(await evaluation.ended, evaluation.output()).toBe(0);
  expect(evaluation.output()).toContain(`Test accuracy: ${last!.val_accuracy!.toFixed(4)}`);
});

test('train takes a text, and its characters are learned with the default model', async () => {
  const data = join(scratch, 'rhyme.txt');
  await writeFile(data, 'round and round the ragged rock the ragged rascal ran\n'.repeat(20));
  const args = ['--data', data, '--sequence-length', '16', '--epochs', '2', '--out', join(scratch, 'rhyme')];
  const run = gradcast('train', ...args, ...local);
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toContain(
    'Samples: windows of 16 characters (--sequence-length); the target of each is the next one.',
  );
  const records = await history('rhyme');
  expect(records).toHaveLength(2);
  expect(records[1]!.loss).toBeLessThan(0.9 * records[0]!.loss);
});

test('a broken table ends a run before it begins, with its file, row and reason', async () => {
  const data = join(scratch, 'broken.csv');
  await writeFile(data, 'a,b\n1,2\n3\n');
  const run = gradcast('train', '--data', data, '--out', join(scratch, 'broken'), ...local);
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toContain('broken.csv: expected 2 fields in every row, found 1 in row 3');
});
