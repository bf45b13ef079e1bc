import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, remove } = await makeRuns();
afterAll(remove);

const layer = (class_name: string, config: object) => ({ class_name, config });
const model = (...layers: object[]) =>
  JSON.stringify({
    class_name: 'Sequential',
    config: {
      name: 'm',
      layers: [...layers, layer('Dense', { name: 'out', units: 10, activation: 'softmax' })],
    },
  });
const input = layer('InputLayer', { name: 'in', batch_input_shape: [null, 784] });

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, content);
  return path;
}

describe.each(['train', 'coordinator'])('%s refuses at once, with exit code 1', (command) => {
  test.each<[string, string | Uint8Array, string]>([
    [
      'a layer whose input does not fit',
      model(input, layer('LSTM', { name: 'memory', units: 2 })),
      'Layer memory (LSTM) takes an input of 2 axes',
    ],
    [
      'weights that make no finite step',
      model(
        input,
        layer('Dense', { name: 'd', units: 2, kernel_initializer: layer('Constant', { value: 3e38 }) }),
      ),
      "The model's first step has no finite loss",
    ],
  ])('%s', async (what, content, sentence) => {
    const out = `${command}-${what}`;
    const path = await file('model.json', content);
    const local = command === 'train' ? ['--engine', 'wasm', '--workers', '1'] : ['--host', '127.0.0.1'];
    const run = gradcast(
      command,
      '--data',
      data,
      '--out',
      join(scratch, out),
      '--port',
      '0',
      ...local,
      '--model',
      path,
    );
    expect(await run.ended, run.output()).toBe(1);
    expect(run.output()).toContain(sentence);
    // Nobody was waited for, and no stack is shown.
    expect(run.output()).not.toMatch(/joined|Attach a machine|\n +at /);
    expect(await readdir(scratch)).not.toContain(out);
  });
});
