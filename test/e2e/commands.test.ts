import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { afterAll, expect, test } from 'vitest';
import { waitForOutput, spawnGradcast } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';
import { imagesOf } from '../support/images.ts';

const { scratch, data, dataset, gradcast, train, history, remove } = await makeRuns();
afterAll(remove);

test('a run reports its progress and saves history, config and a usable model', async () => {
  const run = train('first', '--epochs', '2', '--export', 'onnx', 'digits.keras');
  expect(await run.ended, run.output()).toBe(0);
  const output = run.output();
  expect(output).toContain('x_train shape: (640, 28, 28, 1)');
  expect(output).toContain('Train on 640 samples, validate on 200 samples');
  expect(output).toMatch(/Epoch 2\/2.*val_accuracy: 0\.\d{4}/);
  expect(output).toMatch(/Test accuracy: 0\.\d+/);

  const records = await history('first');
  expect(records.map(({ epoch }) => epoch)).toEqual([1, 2]);
  expect(records[1]).toMatchObject({ workers: 2, data: 'digits' });
  expect(records[1]!.val_accuracy).toBeGreaterThan(0.2);
  expect(JSON.parse(await readFile(join(scratch, 'first/config.json'), 'utf8'))).toMatchObject({
    epochs: 2,
    batchSize: 128,
    seed: 1337,
    token: 'none',
  });
  expect((await readdir(join(scratch, 'first/model'))).toSorted()).toEqual([
    'README.md',
    'model.json',
    expect.stringMatching(/^weights-.*\.bin$/),
  ]);
  // Only the last checkpoint stays, so that the run can be trained longer: 10 steps are two epochs.
  expect(await readdir(join(scratch, 'first/checkpoints'))).toEqual(['checkpoint-000000010.bin']);

  const evaluated = gradcast('evaluate', join(scratch, 'first/model'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
  const accuracy = Number(/Test accuracy: ([\d.]+)/.exec(evaluated.output())?.[1]);
  expect(accuracy).toBe(records[1]!.val_accuracy);

  // The data of the run is found without naming it again; each sample is in the confusion matrix.
  const [json, csv] = [join(scratch, 'figures.json'), join(scratch, 'matrix.csv')];
  const own = gradcast('evaluate', join(scratch, 'first'), '--engine', 'wasm', '--json', json, '--csv', csv);
  expect(await own.ended, own.output()).toBe(0);
  expect(own.output()).toContain('Rows are the true classes, columns the predicted ones:');
  expect(own.output()).toMatch(/precision +recall +F1 +support\n0 +[\d.]+ +[\d.]+ +[\d.]+ +\d+\n/);
  const figures = JSON.parse(await readFile(json, 'utf8')) as {
    readonly metrics: { readonly accuracy: number };
    readonly reports: readonly [
      { readonly report: { readonly accuracy: number; readonly matrix: number[][] } },
    ];
  };
  const [{ report }] = figures.reports;
  expect(report.matrix.flat().reduce((sum, count) => sum + count, 0)).toBe(200);
  expect(report.accuracy).toBeCloseTo(figures.metrics.accuracy, 9);
  expect(figures.metrics.accuracy).toBe(records[1]!.val_accuracy);
  const rows = (await readFile(csv, 'utf8')).trim().split('\n');
  expect(rows[0]).toBe('true class,0,1,2,3,4,5,6,7,8,9');
  expect(rows[1]).toBe(`0,${report.matrix[0]!.join(',')}`);

  for (const file of ['model.onnx', 'digits.keras'])
    expect(run.output()).toMatch(
      new RegExp(`Wrote .*first/${file}: the model after 2 epochs, for .* in Python\\.`),
    );
  const exported = gradcast('export', join(scratch, 'first'), '--format', 'savedmodel');
  expect(await exported.ended, exported.output()).toBe(0);
  expect(existsSync(join(scratch, 'first/saved_model/saved_model.pb'))).toBe(true);
  const picture = join(scratch, 'digit.png');
  await writePng(picture, imagesOf(dataset.test).subarray(0, 784));
  const predicted = gradcast('predict', join(scratch, 'first/model'), picture, '--engine', 'wasm');
  expect(await predicted.ended, predicted.output()).toBe(0);
  expect(predicted.output()).toMatch(/digit\.png: \d \(\d+\.\d%\) {3}then \d/);
});

test('Ctrl-C finishes the step, saves and exits with code 130', async () => {
  const run = train('stopped', '--epochs', '10000', '--export', 'safetensors');
  await waitForOutput(run, /Epoch 2\/10000: 5 steps/);
  run.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(130);
  expect(run.output()).toContain('Stopping; the trained model is saved. Ctrl-C again stops at once.');
  expect(run.output()).toMatch(/Resume it:\n.* train --resume .*stopped/);
  const evaluated = gradcast('evaluate', join(scratch, 'stopped/model'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
  expect(existsSync(join(scratch, 'stopped/model.safetensors'))).toBe(true);
  // The printed scores are those of the saved weights, not of the end of the last epoch.
  const scores = (output: string): string[] => output.match(/Test (?:loss|accuracy): [\d.]+/g) ?? [];
  expect(scores(run.output())).toHaveLength(2);
  expect(scores(run.output())).toEqual(scores(evaluated.output()));
});

test('Ctrl-C ends an evaluation at once with exit code 130', async () => {
  const evaluated = gradcast('evaluate', join(scratch, 'first/model'), '--data', data, '--engine', 'wasm');
  await waitForOutput(evaluated, /: 200 test samples/);
  evaluated.kill('SIGINT');
  expect(await evaluated.ended, evaluated.output()).toBe(130);
  expect(evaluated.output()).not.toMatch(/saved|Test loss/);
});

test('MNIST_DIR replaces --data, and an error about its folder names it', async () => {
  const env = { ...process.env, GRADCAST_TOKEN: undefined };
  const wrong = spawnGradcast(['train'], { ...env, MNIST_DIR: '/nonexistent-digits' });
  expect(await wrong.ended).toBe(1);
  expect(wrong.output()).toContain('/nonexistent-digits (from MNIST_DIR)');
});

test.each<[string, string[], RegExp]>([
  ['a folder without data', ['train', '--data', '/nonexistent-digits'], /nonexistent-digits/],
  ['a folder without a model', ['evaluate', '/nonexistent-model', '--data', '.'], /No gradcast model in/],
  ['an argument that is no address', ['worker', 'localhost'], /looks like http:/],
  ['an unknown option', ['train', '--epoch', '3'], /unknown option.*--epoch/],
  ['an empty token', ['coordinator', '--token', ''], /1 to 200 characters/],
  ['an unknown format', ['train', '--export', 'tflite'], /--export tflite is neither a format/],
  ['an argument that is no number', ['train', '--epochs', 'many'], /whole number/],
])('%s ends with exit code 1 and a message without a stack trace', async (_, args, sentence) => {
  const run = gradcast(...args);
  expect(await run.ended).toBe(1);
  expect(run.output()).toMatch(sentence);
  expect(run.output()).not.toMatch(/^\s+at /m);
});

test.each(['train', 'coordinator', 'worker', 'evaluate', 'predict'])(
  '%s --help has examples',
  async (command) => {
    const help = gradcast(command, '--help');
    expect(await help.ended).toBe(0);
    expect(help.output()).toMatch(/Examples?:\n {2}gradcast /);
  },
);

async function writePng(file: string, pixels: Uint8Array): Promise<void> {
  const png = new PNG({ width: 28, height: 28 });
  pixels.forEach((value, i) => png.data.set([value, value, value, 255], i * 4));
  await writeFile(file, PNG.sync.write(png));
}
