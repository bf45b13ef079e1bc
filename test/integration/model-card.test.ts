import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { train, type TrainedModel, type TrainOptions } from '../../coordinator/index.ts';
import { isOwnCard } from '../../coordinator/run/model-card.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

let scratch = '';
beforeEach(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-card-'))));
afterEach(() => rm(scratch, { recursive: true }));

/** A table with a number, a category and three classes. */
async function writeFlowers(): Promise<string> {
  const rows = Array.from({ length: 60 }, (_, i) =>
    [(i * 7) % 11, ['north', 'south'][i % 2], ['rose', 'a|b', 'lily'][i % 3]].join(','),
  );
  const path = join(scratch, 'flowers.csv');
  await writeFile(path, `width,region,kind\n${rows.join('\n')}\n`);
  return path;
}

async function runOn(data: string, out: string, options: TrainOptions = {}): Promise<TrainedModel> {
  return train(
    { data, epochs: 2, batchSize: 16, optimizer: 'adam', seed: 5 },
    { engine: await wasmEngine(), out, ...options },
  );
}

const readCard = (out: string): Promise<string> => readFile(join(out, 'model/README.md'), 'utf8');

it('a run describes its model: data, layers, training, figures and use', async () => {
  const out = join(scratch, 'run');
  const model = await runOn(await writeFlowers(), out, { token: 's3cret-token' });
  const card = await readCard(out);
  expect(card).toMatch(
    /^---\nlibrary_name: gradcast\npipeline_tag: tabular-classification\ntags:\n {2}- gradcast\n {2}- tensorflow\.js\n---\n\n# Model trained on flowers\n/,
  );
  for (const line of [
    '- Your own data, from flowers.csv.',
    '- Samples: 48 to train on, 12 to test on',
    '- Inputs: [3]',
    '- Target kind: 3 classes: a\\|b, lily, rose',
    '- Numbers, standardized: width',
    '- Categories, one-hot: region',
    '- Loss: sparse_categorical_crossentropy',
    '- Batch size: 16',
    '- Epochs: 2 of 2 finished, 6 steps; seed 5',
    '- Workers: up to 1',
    '- Engines: wasm',
  ])
    expect(card.split('\n')).toContain(line);
  expect(card).toMatch(/\n- Optimizer: adam \(.*learningRate 0\.001/);
  // 3 x 128, 128 x 64 and 64 x 3 weights, with biases.
  expect([...card.matchAll(/\| \w+ \| Dense \| (\d+) \|/g)].map(([, size]) => size)).toEqual([
    '512',
    '8256',
    '195',
  ]);
  expect(card).toContain('8963 parameters.');
  const { val_loss, val_accuracy } = model.history[1]!;
  expect(card).toContain(`| loss | ${val_loss.toFixed(4)} |\n| accuracy | ${val_accuracy!.toFixed(4)} |`);
  expect(card).toContain('| epoch | loss | accuracy | val_loss | val_accuracy |');
  expect(card).toMatch(/\n\| 2 \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|\n/);
  expect(card).toMatch(/gradcast predict .*tf\.loadLayersModel.*gradcast export .*load_model/s);
  for (const secret of ['s3cret-token', hostname(), scratch]) expect(card).not.toContain(secret);
  expect(isOwnCard(card)).toBe(true);
});

it('a stopped run says so, and a resumed one replaces the description', async () => {
  const out = join(scratch, 'run');
  const data = await writeFlowers();
  const stop = new AbortController();
  const engine = await wasmEngine();
  const run = train(
    { data, epochs: 50, batchSize: 16, optimizer: 'adam', seed: 5 },
    { engine, out, signal: stop.signal },
  );
  for await (const event of run) if (event.type === 'epoch') stop.abort();
  const stopped = await run;
  expect(stopped.isStopped).toBe(true);
  const card = await readCard(out);
  expect(card).toContain('The run was stopped before its last epoch ended.');
  expect(card).toMatch(/- Epochs: \d+ of 50 finished, \d+ steps; seed 5/);
  const epochs = stopped.history.length + 1;
  await train({ data, epochs }, { engine: await wasmEngine(), resume: out });
  const resumed = await readCard(out);
  expect(resumed).not.toContain('was stopped');
  expect(resumed).toContain(`- Epochs: ${epochs} of ${epochs} finished`);
});

it("a person's own file is left as it is, and so is a description that was changed", async () => {
  const out = join(scratch, 'run');
  const data = await writeFlowers();
  await mkdir(join(out, 'model'), { recursive: true });
  await writeFile(join(out, 'model/README.md'), 'My own words.\n');
  const lines: string[] = [];
  await runOn(data, out, { reporter: { info: (line) => void lines.push(line) } });
  expect(await readCard(out)).toBe('My own words.\n');
  expect(lines.filter((line) => line.includes('README.md'))).toEqual([
    `README.md in ${join(out, 'model')} is left as it is: gradcast did not write it like that.`,
  ]);
  const other = join(scratch, 'other');
  await runOn(data, other);
  const changed = (await readCard(other)).replace('## Limits', '## What it cannot do');
  await writeFile(join(other, 'model/README.md'), changed);
  await train({ data, epochs: 3 }, { engine: await wasmEngine(), resume: other });
  expect(await readCard(other)).toBe(changed);
});
