import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { input, layer, modelFile } from './model-files.ts';
import { makeRuns } from './runs.ts';

const { scratch, train, remove } = await makeRuns();
afterAll(remove);

async function file(name: string, content: string): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, content);
  return path;
}

test('training a saved model continues from its weights, and its layers keep their names', async () => {
  const twice = (name: string, size: number) =>
    layer('Sequential', {
      name,
      layers: [layer('Dense', { name: 'one', units: 8, batch_input_shape: [null, size] })],
    });
  const path = await file('twice.json', modelFile(input, twice('a', 784), twice('b', 8)));
  const first = train('first', '--epochs', '1', '--model', path);
  expect(await first.ended, first.output()).toBe(0);
  const again = train('again', '--epochs', '1', '--model', join(scratch, 'first/model/model.json'));
  expect(await again.ended, again.output()).toBe(0);
  expect(again.output()).toContain('Training starts from the weights of the model file.');
  const lossOf = async (out: string): Promise<number> => {
    const [line = ''] = (await readFile(join(scratch, out, 'history.jsonl'), 'utf8')).split('\n');
    return (JSON.parse(line) as { loss: number }).loss;
  };
  expect(await lossOf('again')).toBeLessThan(await lossOf('first'));
});

test('a run warns of batch normalization before the first step', async () => {
  const path = await file(
    'norm.json',
    modelFile(input, layer('Dense', { name: 'd', units: 8 }), layer('BatchNormalization', { name: 'n' })),
  );
  const run = train('norm', '--epochs', '1', '--model', path);
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toMatch(/per-shard statistics[^]*Epoch 1\/1/);
});
