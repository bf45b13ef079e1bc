import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { loadDataset, train, type ModelFunction, type Task } from '../../coordinator/index.ts';
import { recordingReport } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const scratch = mkdtempSync(join(tmpdir(), 'gradcast-tables-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const cities = ['Bonn', 'Cologne', 'Essen'];
const houses = join(scratch, 'houses.csv');
const rows = Array.from({ length: 120 }, (_, i) => {
  const area = 40 + ((i * 37) % 161);
  const place = i % 3;
  return `${area},${cities[place]},${i % 2 === 0 ? 'yes' : 'no'},${(5_000 - 800 * place) * area + 100_000}`;
});
writeFileSync(houses, `area,city,garage,price\n${rows.join('\n')}\n`);

const task = {
  data: { source: houses, target: 'price' },
  loss: 'mae',
  optimizer: { name: 'adam', learningRate: 0.03 },
  batchSize: 16,
  epochs: 30,
} as const satisfies Task;

/** One layer that computes in the unit of the target, or that ends in its mean and deviation. */
const linear =
  (isRescaled: boolean): ModelFunction =>
  (tf, { inputs, targets: [price] }) =>
    tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: inputs[0].shape, units: 1 }),
        ...(isRescaled ? [tf.layers.rescaling({ scale: price.std, offset: price.mean })] : []),
      ],
    });

const FAR =
  /^! price has mean [56]\d\d,\d{3} and deviation \d{3},\d{3}; a model that starts near 0 learns it slowly\./;

describe('a regression with a model of its own', () => {
  test('learns if it ends in the mean and deviation of its target', async () => {
    const reporter = recordingReport();
    const model = await train({ ...task, model: linear(true) }, { engine: await wasmEngine(), reporter });
    expect(reporter.lines.filter((line) => FAR.test(line))).toEqual([]);
    const own = model.dataset.train;
    const prices = 'targets' in own ? (own.targets[0] as Float32Array) : new Float32Array(0);
    const mean = prices.reduce((sum, price) => sum + price / prices.length, 0);
    const spread = prices.reduce((sum, price) => sum + Math.abs(price - mean) / prices.length, 0);
    expect(model.scores!.val_loss).toBeLessThan(spread / 3);
  });

  test('is told about a target that is far from its start', async () => {
    const reporter = recordingReport();
    await train({ ...task, epochs: 1, model: linear(false) }, { engine: await wasmEngine(), reporter });
    expect(reporter.lines.filter((line) => line.includes('deviation'))).toEqual([expect.stringMatching(FAR)]);
  });
});

test('a default model is told nothing: it ends so', async () => {
  const reporter = recordingReport();
  await train({ ...task, epochs: 1 }, { engine: await wasmEngine(), reporter });
  expect(reporter.lines.filter((line) => FAR.test(line))).toEqual([]);
});

describe('predictRows', () => {
  const known = { area: 100, city: 'Bonn', garage: 'yes' };

  test('takes true and false for the words of training', async () => {
    const model = await train({ ...task, epochs: 1 }, { engine: await wasmEngine() });
    const predicted = await model.predictRows<{ price: number }>([
      known,
      { ...known, garage: true },
      { ...known, garage: 'no' },
      { ...known, garage: false },
    ]);
    const [yes, isTrue, no, isFalse] = predicted.map(({ price }) => price.toFixed(2));
    expect(isTrue).toBe(yes);
    expect(isFalse).toBe(no);
    expect(yes).not.toBe(no);
  });

  test('tells of a category that training lacks, by a function or as a warning of the process', async () => {
    const model = await train({ ...task, epochs: 1 }, { engine: await wasmEngine() });
    const lines: string[] = [];
    await model.predictRows([known], { onWarning: (line) => lines.push(line) });
    expect(lines).toEqual([]);
    const rows = [known, { ...known, city: 'Aachen' }, { ...known, city: 'Ulm' }];
    const line =
      'rows[1].city is "Aachen", the first of 2 such rows; the training part has Bonn, Cologne, Essen. It counts as none of them.';
    await model.predictRows(rows, { onWarning: (warning) => lines.push(warning) });
    expect(lines).toEqual([line]);
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    onTestFinished(() => emitted.mockRestore());
    await model.predictRows(rows);
    expect(emitted.mock.calls).toEqual([[line, 'GradcastWarning']]);
  });
});

test('misspelled settings of data are refused where data is named', async () => {
  const data = { source: houses, target: 'price', limt: 5 } as object;
  await expect(train({ data })).rejects.toThrow("The task: data has no setting limt. Did you mean 'limit'?");
  await expect(loadDataset(data)).rejects.toThrow("loadDataset has no setting limt. Did you mean 'limit'?");
  const model = await train({ ...task, epochs: 1 }, { engine: await wasmEngine() });
  await expect(model.evaluate(data)).rejects.toThrow(
    "evaluate: data has no setting limt. Did you mean 'limit'?",
  );
});

test('lines and errors about data name its settings', async () => {
  const reporter = recordingReport();
  await train({ ...task, epochs: 1 }, { engine: await wasmEngine(), reporter });
  expect(reporter.lines).toContainEqual(
    expect.stringMatching(/^Validation: 24 of 120 rows.* \(data\.validationSplit, data\.test\)\.$/),
  );
  expect(reporter.lines.filter((line) => line.includes(' --'))).toEqual([]);
  const missing = join(scratch, 'missing/');
  await expect(train({ data: missing })).rejects.toThrow('(from data.source)');
  await expect(loadDataset({ source: missing })).rejects.toThrow('(from source)');
  await expect(train({ data: { source: houses, target: 'cost' } })).rejects.toThrow('data.target');
  const flags = { optionName: (key: string) => `<${key}>` };
  await expect(train({ data: missing }, flags)).rejects.toThrow('(from <data.source>)');
});
