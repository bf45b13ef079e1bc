import { execFile } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packAndInstall, type PackedPackage } from '../package/packed.ts';

let packed: PackedPackage;
beforeAll(async () => void (packed = await packAndInstall()), 240_000);
afterAll(() => packed.remove());

const folderOf = (name: string): string => join(packed.folder, name);

/** Runs what the README of an example says after the installation of its packages. @returns its output */
async function runAsDocumented(name: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  cpSync(join('examples', name), folderOf(name), { recursive: true });
  const [, command = ''] =
    /`npm install && ([^`]+)`/.exec(readFileSync(join(folderOf(name), 'README.md'), 'utf8')) ?? [];
  expect(command).toBe('npm start');
  const { stdout } = await promisify(execFile)('npm', ['start'], {
    cwd: folderOf(name),
    env: { ...process.env, ...env },
  });
  return stdout;
}

const accuracyIn = (output: string): number => Number(/[Aa]ccuracy:? (\d\.\d+)\s*$/m.exec(output)?.[1]);

test('table: a CSV file becomes a model that ONNX Runtime runs', async () => {
  const output = await runAsDocumented('table');
  expect(accuracyIn(output)).toBeGreaterThan(0.9);
  expect(output).toContain('Exported model.onnx');
  const session = await InferenceSession.create(join(folderOf('table'), 'model.onnx'));
  // Two numbers and the two places.
  const input = new Tensor('float32', new Float32Array(4), [1, 4]);
  const results = await session.run({ [session.inputNames[0]!]: input });
  const probabilities = results[session.outputNames[0]!]!.data as Float32Array;
  expect(probabilities).toHaveLength(3);
  expect(probabilities.reduce((sum, value) => sum + value)).toBeCloseTo(1, 5);
}, 120_000);

test('image-folder: pictures in folders are told apart', async () => {
  const output = await runAsDocumented('image-folder');
  expect(accuracyIn(output)).toBeGreaterThan(0.6);
  expect(existsSync(join(folderOf('image-folder'), 'run/model/model.json'))).toBe(true);
}, 120_000);

test('text: the model continues a line', async () => {
  const output = await runAsDocumented('text');
  expect(accuracyIn(output)).toBeGreaterThan(0.7);
  expect(output).toContain('It writes: the cat sat on the mat');
}, 120_000);

test('keras-model: a .keras file is trained further', async () => {
  const output = await runAsDocumented('keras-model');
  const losses = [...output.matchAll(/Test loss: (\d\.\d+)/g)].map(([, loss]) => Number(loss));
  expect(losses).toHaveLength(2);
  expect(losses[1]).toBeLessThan(losses[0]!);
  expect(existsSync(join(folderOf('keras-model'), 'second/model.keras'))).toBe(true);
}, 120_000);

test('task-file: callbacks stop the run and write files', async () => {
  const output = await runAsDocumented('task-file');
  const [, epochs, loss] = /Stopped after epoch (\d+) with a loss of (\d\.\d+)/.exec(output) ?? [];
  expect(Number(loss)).toBeLessThan(0.1);
  const rows = readFileSync(join(folderOf('task-file'), 'history.csv'), 'utf8')
    .trim()
    .split('\n');
  expect(rows).toHaveLength(Number(epochs) + 1);
  expect(readdirSync(join(folderOf('task-file'), 'logs')).sort()).toEqual(
    expect.arrayContaining(['train', 'validation']),
  );
}, 120_000);

test('custom-loop: the loop stops the run', async () => {
  const output = await runAsDocumented('custom-loop');
  const losses = [...output.matchAll(/epoch \d+: val_loss (\d\.\d+)/g)].map(([, loss]) => Number(loss));
  const [, epochs] = /Stopped after (\d+) epochs, accuracy/.exec(output) ?? [];
  expect(losses.length).toBeGreaterThanOrEqual(Number(epochs));
  expect(losses.length).toBeLessThan(50);
  // The last three epochs did not improve on the best one before them.
  expect(Math.min(...losses.slice(-3))).toBeGreaterThan(Math.min(...losses.slice(0, -3)) - 0.001);
  expect(accuracyIn(output)).toBeGreaterThan(0.9);
  expect(existsSync(join(folderOf('custom-loop'), 'model/model.json'))).toBe(true);
}, 120_000);

test('custom-layer: a layer, a loss and a metric of its own are trained and measured', async () => {
  const output = await runAsDocumented('custom-layer');
  const losses = [...output.matchAll(/ loss: (\d+\.\d+)/g)].map(([, loss]) => Number(loss));
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
  expect(output).toMatch(/Test withinHalf: 0\.\d+/);
  expect(readdirSync(join(folderOf('custom-layer'), 'run/model'))).toContainEqual(
    expect.stringMatching(/^custom-[0-9a-f]{64}\.js$/),
  );
}, 120_000);

test('own-engine: an engine in plain JavaScript trains', async () => {
  const output = await runAsDocumented('own-engine');
  expect(accuracyIn(output)).toBeGreaterThan(0.85);
  const [, ...probabilities] = /\[0\.9, 0\]: (\S+) (\S+) (\S+)/.exec(output) ?? [];
  expect(Number(probabilities[2])).toBeGreaterThan(0.5);
}, 120_000);

test('watch: an observer with the token is told of each epoch', async () => {
  const output = await runAsDocumented('watch', { PORT: '0' });
  expect(output).toMatch(/http:\/\/localhost:\d+\/train\/#s3cret/);
  expect(output).toMatch(/^Watching: circle/m);
  const epochs = [...output.matchAll(/^epoch (\d): accuracy 0\.\d\d$/gm)].map(([, epoch]) => Number(epoch));
  expect(epochs).toEqual([1, 2, 3, 4, 5]);
  expect(output).toContain('The run has ended: ');
}, 120_000);

test('README.md lists every example', () => {
  const folders = readdirSync('examples', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  const listed = [...readFileSync('examples/README.md', 'utf8').matchAll(/\]\((\S+)\/?\)/g)];
  expect(listed.map(([, name]) => name).sort()).toEqual(folders.sort());
});
