import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  compareRuns,
  describeComparison,
  describeCurves,
  describeRuns,
} from '../../../coordinator/run/describe-runs.ts';
import { readWeights, listRuns, readRun } from '../../../coordinator/run/read-run.ts';
import { acquireRunLock } from '../../../coordinator/run/run-lock.ts';

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'gradcast-runs-'));
});
afterEach(() => rm(parent, { recursive: true }));

interface RunFiles {
  readonly config?: object;
  /** Workers in each epoch. @default 1 */
  readonly workers?: readonly number[];
  readonly losses?: readonly number[];
  readonly weights?: string;
  readonly checkpoint?: number;
}

async function writeRun(
  name: string,
  { config = {}, workers = [], losses = [], weights, checkpoint }: RunFiles,
): Promise<string> {
  const dir = join(parent, name);
  await mkdir(join(dir, 'model'), { recursive: true });
  await mkdir(join(dir, 'checkpoints'));
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  const records = losses.map((loss, index) => ({
    ...{ epoch: index + 1, loss, accuracy: 1 - loss, val_loss: 2 * loss, val_accuracy: 0.9 - loss },
    ...{ seconds: 60, samples_per_second: 100, workers: workers[index] ?? 1, data: 'iris' },
  }));
  if (losses.length > 0)
    await writeFile(
      join(dir, 'history.jsonl'),
      records.map((record) => `${JSON.stringify(record)}\n`).join(''),
    );
  if (weights !== undefined) {
    const model = { modelTopology: { config: { name: 'small' } }, weightsManifest: [{ paths: ['w.bin'] }] };
    await writeFile(join(dir, 'model', 'model.json'), JSON.stringify(model));
    await writeFile(join(dir, 'model', 'w.bin'), weights);
  }
  if (checkpoint !== undefined)
    await writeFile(join(dir, 'checkpoints', `checkpoint-${String(checkpoint).padStart(9, '0')}.bin`), '');
  return dir;
}

const config = {
  started: '2026-02-03T04:05:06.000Z',
  epochs: 2,
  dataset: { name: 'iris', description: 'Flowers' },
  optimizer: { name: 'adam', learningRate: 0.1 },
};

test('runs are listed in the order of their start, with figures and state', async () => {
  await writeRun('b', { config, losses: [0.5, 0.25], weights: 'w', checkpoint: 20 });
  await writeRun('a', {
    config: { ...config, started: '2026-02-04T00:00:00.000Z' },
    losses: [0.5],
    checkpoint: 10,
  });
  await mkdir(join(parent, 'no-run'));
  const runs = await listRuns(parent);
  expect(runs.map(({ state, canResume, steps }) => ({ state, canResume, steps }))).toEqual([
    { state: 'finished', canResume: false, steps: 20 },
    { state: 'interrupted', canResume: true, steps: 10 },
  ]);
  const [heading, first, second] = describeRuns(runs);
  expect(heading).toMatch(/^run +started +model +data +epochs +steps +figures +time +state$/);
  expect(first).toMatch(
    /b +2026-02-03 04:05 +small +iris +2\/2 +20 +val_loss 0\.5000, val_accuracy 0\.6500 +2m 00s +finished$/,
  );
  expect(second).toMatch(/1\/2 +10 .* 1m 00s +interrupted, can be resumed$/);
});

test('a run whose folder a live process has locked is running, and reading it changes nothing', async () => {
  const dir = await writeRun('a', { config, losses: [0.5] });
  const lock = await acquireRunLock(dir);
  const files = await readdir(dir);
  expect((await readRun(dir)).state).toBe('running');
  expect(await readdir(dir)).toEqual(files);
  await lock.release();
  expect(await readRun(dir)).toMatchObject({ state: 'interrupted', canResume: false });
});

test('a folder that is no run, or is missing, is refused with a sentence', async () => {
  await expect(readRun(parent)).rejects.toThrow('is not the folder of a run');
  await expect(listRuns(join(parent, 'missing'))).rejects.toThrow('There is no folder');
  expect(await listRuns(parent)).toEqual([]);
});

test('a damaged config.json leaves a run in the list, with what is known', async () => {
  const dir = await writeRun('a', { losses: [0.5] });
  await writeFile(join(dir, 'config.json'), '{ "epochs": ');
  expect(await readRun(dir)).toMatchObject({ epochs: null, data: null, started: null, seconds: 60 });
});

test('two runs are compared by the options that differ, their figures, curves and weights', async () => {
  const first = await writeRun('a', { config, losses: [0.5, 0.25], weights: 'same' });
  const second = await writeRun('b', {
    config: { ...config, started: 'later', optimizer: { name: 'adam', learningRate: 0.2 }, batchSize: 8 },
    losses: [0.5, 0.125],
    weights: 'same',
  });
  const [a, b] = await Promise.all([readRun(first), readRun(join(second, 'model'))]);
  const weights = await Promise.all([readWeights(a.dir), readWeights(b.dir)]);
  const comparison = compareRuns(a, b, weights);
  expect(comparison.options).toEqual({ 'optimizer.learningRate': [0.1, 0.2], batchSize: [null, 8] });
  expect(comparison.figures).toMatchObject({ val_loss: [0.5, 0.25], epochs: [2, 2] });
  expect(comparison.sameWeights).toBe(true);
  const text = describeComparison(a, b, comparison, { columns: 80, isUnicode: false, inColor: false }).join(
    '\n',
  );
  expect(text).toContain('val_loss by epoch (* both)\n1.0000 |*');
  expect(text).toContain('The weights are the same, bit by bit.');
  const linesFor = (...vectors: Parameters<typeof compareRuns>[2]): string | undefined =>
    describeComparison(a, b, compareRuns(a, b, vectors), {
      columns: 80,
      isUnicode: false,
      inColor: false,
    }).at(-1);
  const vector = Float32Array.of(3, 4);
  expect(linesFor(vector, Float32Array.of(3, 4.005))).toBe('The weights differ by 1.0e-3 of their norm.');
  expect(linesFor(vector, Float32Array.of(3))).toBe('The weights are those of different models.');
  expect(linesFor(null, vector)).toMatch(/not compared/);
});

test('two runs are compared by the workers that computed, not by those that their commands started', async () => {
  const [a, b] = await Promise.all([
    readRun(await writeRun('train', { config: { ...config, workers: 2 }, losses: [1, 1], workers: [2, 2] })),
    readRun(
      await writeRun('coordinator', {
        config: { ...config, workers: 0 },
        losses: [1, 1, 1],
        workers: [1, 5, 3],
      }),
    ),
  ]);
  const comparison = compareRuns(a, b, [null, null]);
  expect(comparison.options).toEqual({});
  expect(comparison.figures).toMatchObject({ most_workers: [2, 5] });
  const lines = describeComparison(a, b, comparison, { columns: 80, isUnicode: false, inColor: false });
  expect(lines.find((line) => line.startsWith('most_workers'))).toMatch(/^most_workers +2 +5$/);
});

test('the end of a run shows loss and first metric by epoch, from its second epoch on', async () => {
  const style = { columns: 40, isUnicode: false, inColor: false };
  const { history } = await readRun(await writeRun('a', { config, losses: [0.5, 0.25] }));
  const lines = describeCurves(history, style);
  expect(lines.filter((line) => line.endsWith(':'))).toEqual([
    'val_loss by epoch, 1 to 2:',
    'val_accuracy by epoch, 1 to 2:',
  ]);
  expect(describeCurves(history.slice(0, 1), style)).toEqual([]);
});
