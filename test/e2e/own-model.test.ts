import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { input, layer, modelFile } from './model-files.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, remove } = await makeRuns();
afterAll(remove);

describe.each(['train', 'coordinator'])(
  '%s rejects with exit code 1, before it waits for workers:',
  (command) => {
    test.each<[string, string | Uint8Array, string]>([
      [
        'a layer whose input does not fit',
        modelFile(input, layer('LSTM', { name: 'memory', units: 2 })),
        'Layer memory (LSTM) takes an input of 2 axes',
      ],
      [
        'weights that make no finite step',
        modelFile(
          input,
          layer('Dense', { name: 'd', units: 2, kernel_initializer: layer('Constant', { value: 3e38 }) }),
        ),
        "The model's first step has no finite loss",
      ],
    ])('%s', async (what, content, sentence) => {
      const out = `${command}-${what}`;
      const path = join(scratch, 'model.json');
      await writeFile(path, content);
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
      // The run did not wait for a worker, and the error shows no stack.
      expect(run.output()).not.toMatch(/joined|Join from|\n +at /);
      expect(await readdir(scratch)).not.toContain(out);
    });
  },
);
