import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { said, spawnGradcast, type WorkerProcess } from '../support/worker-process.ts';

let scratch: string;
/** A data set of IDX files, small enough for a quick run. */
let data: string;
const dataset = drawDigits({ seed: 3, trainCount: 640, testCount: 200 });

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'gradcast-e2e-'));
  data = join(scratch, 'digits');
  await writeDigits(data, dataset);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const gradcast = (...args: string[]): WorkerProcess =>
  spawnGradcast(args, { ...process.env, MNIST_DIR: undefined, GRADCAST_TOKEN: undefined });
const train = (out: string, ...args: string[]): WorkerProcess =>
  gradcast(
    'train',
    '--data',
    data,
    '--out',
    join(scratch, out),
    '--engine',
    'wasm',
    '--workers',
    '2',
    ...args,
  );

async function history(out: string): Promise<EpochRecord[]> {
  const lines = (await readFile(join(scratch, out, 'history.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line) as EpochRecord);
}

const timelessHistory = async (out: string) =>
  (await history(out)).map((record) => ({ ...record, seconds: 0, samples_per_second: 0 }));

test('a run tells its story, and leaves history, config and a model that can be used', async () => {
  const run = train('first', '--epochs', '2');
  expect(await run.ended, run.output()).toBe(0);
  const output = run.output();
  expect(output).toContain('x_train shape: (640, 28, 28, 1)');
  expect(output).toContain('Train on 640 samples, validate on 200 samples');
  expect(output).toMatch(/Epoch 2\/2.*val_accuracy: 0\.\d{4}/);
  expect(output).toMatch(/Test accuracy: 0\.\d+/);

  const records = await history('first');
  expect(records.map(({ epoch }) => epoch)).toEqual([1, 2]);
  expect(records[1]).toMatchObject({ workers: 2, data: 'idx:digits' });
  expect(records[1]!.val_accuracy).toBeGreaterThan(0.2);
  expect(JSON.parse(await readFile(join(scratch, 'first/config.json'), 'utf8'))).toMatchObject({
    epochs: 2,
    batchSize: 128,
    seed: 1337,
    token: 'none',
  });
  expect((await readdir(join(scratch, 'first/model'))).length).toBe(2);

  const evaluated = gradcast('evaluate', join(scratch, 'first/model'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
  const accuracy = Number(/Test accuracy: ([\d.]+)/.exec(evaluated.output())?.[1]);
  expect(accuracy).toBe(records[1]!.val_accuracy);

  const picture = join(scratch, 'digit.png');
  await writePng(picture, dataset.test.images.subarray(0, 784));
  const predicted = gradcast('predict', join(scratch, 'first/model'), picture, '--engine', 'wasm');
  expect(await predicted.ended, predicted.output()).toBe(0);
  expect(predicted.output()).toMatch(/digit\.png: \d \(\d+\.\d%\) {3}then \d/);
});

test('the same seed and worker count give the same history, to the last bit', async () => {
  const runs = [train('again-1', '--epochs', '1'), train('again-2', '--epochs', '1')];
  for (const run of runs) expect(await run.ended, run.output()).toBe(0);
  expect(await timelessHistory('again-1')).toEqual(await timelessHistory('again-2'));
});

test('a run with --codec says so, and what it has evaluated is what it saves', async () => {
  const run = train('lossy', '--epochs', '1', '--codec', 'int4');
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toMatch(/joined: .*, int4\/int8/);
  const [record] = await history('lossy');
  expect(record).toMatchObject({ codec: 'int4/int8' });
  expect(JSON.parse(await readFile(join(scratch, 'lossy/config.json'), 'utf8'))).toMatchObject({
    codec: 'int4',
  });
  const evaluated = gradcast('evaluate', join(scratch, 'lossy/model'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
  expect(Number(/Test accuracy: ([\d.]+)/.exec(evaluated.output())?.[1])).toBe(record!.val_accuracy);
}, 60_000);

test('Ctrl-C finishes the step, saves and exits with 130', async () => {
  const run = train('stopped', '--epochs', '10000');
  await said(run, /Epoch 2\/10000: 5 steps/);
  run.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(130);
  expect(run.output()).toContain('Ctrl-C again stops at once');
  expect(run.output()).toMatch(/Go on with it:\n.* train --resume .*stopped/);
  const evaluated = gradcast('evaluate', join(scratch, 'stopped/model'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
});

test('Ctrl-C ends an evaluation at once, with 130', async () => {
  const evaluated = gradcast('evaluate', join(scratch, 'first/model'), '--data', data, '--engine', 'wasm');
  await said(evaluated, /: 200 test samples/);
  evaluated.kill('SIGINT');
  expect(await evaluated.ended, evaluated.output()).toBe(130);
  expect(evaluated.output()).not.toMatch(/saved|Test score/);
});

test('MNIST_DIR is as good as --data, and is named where it is wrong', async () => {
  const env = { ...process.env, GRADCAST_TOKEN: undefined };
  const wrong = spawnGradcast(['train'], { ...env, MNIST_DIR: '/nonexistent-digits' });
  expect(await wrong.ended).toBe(1);
  expect(wrong.output()).toContain('/nonexistent-digits (from MNIST_DIR)');
});

test('a run that is killed goes on from its last checkpoint, to the same end', async () => {
  const whole = train('whole', '--epochs', '3');
  expect(await whole.ended, whole.output()).toBe(0);
  const killed = train('crashed', '--epochs', '3', '--checkpoint-every', '2');
  await said(killed, /Epoch 2\/3: 5 steps/);
  killed.kill('SIGKILL');
  await killed.ended;
  const resumed = gradcast(
    ...['train', '--resume', join(scratch, 'crashed'), '--data', data],
    ...['--engine', 'wasm', '--workers', '2'],
  );
  expect(await resumed.ended, resumed.output()).toBe(0);
  expect(resumed.output()).toMatch(/Going on with .*crashed after step \d+, in epoch [12]/);
  expect(await timelessHistory('crashed')).toEqual(await timelessHistory('whole'));

  const done = gradcast('coordinator', '--resume', join(scratch, 'crashed'), '--data', data, '--port', '0');
  expect(await done.ended, done.output()).toBe(0);
  expect(done.output()).toContain('That run is done: 3 epochs.');

  const other = gradcast('train', '--resume', join(scratch, 'crashed'), '--seed', '3');
  expect(await other.ended).toBe(1);
  expect(other.output()).toContain('cannot be used with');
}, 120_000);

test('an exact run comes to the same end when it is killed, and gone on with by other workers', async () => {
  const weightsOf = async (out: string): Promise<Buffer> => {
    const folder = join(scratch, out, 'model');
    const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.bin'));
    return readFile(join(folder, file));
  };
  const whole = train('exact', '--epochs', '2', '--exact', '--workers', '1');
  expect(await whole.ended, whole.output()).toBe(0);
  const killed = train(
    'exact-killed',
    '--epochs',
    '2',
    '--exact',
    '--workers',
    '3',
    '--checkpoint-every',
    '1',
  );
  await said(killed, /Epoch 1\/2: 5 steps/);
  killed.kill('SIGKILL');
  await killed.ended;
  const resumed = gradcast(
    ...['train', '--resume', join(scratch, 'exact-killed'), '--data', data],
    ...['--engine', 'wasm', '--workers', '2'],
  );
  expect(await resumed.ended, resumed.output()).toBe(0);
  const anyWorkers = (records: EpochRecord[]): EpochRecord[] =>
    records.map((record) => ({ ...record, workers: 0 }));
  expect(anyWorkers(await timelessHistory('exact-killed'))).toEqual(
    anyWorkers(await timelessHistory('exact')),
  );
  expect((await weightsOf('exact-killed')).equals(await weightsOf('exact'))).toBe(true);

  const lossy = train('exact-lossy', '--exact', '--codec', 'int8');
  expect(await lossy.ended).toBe(1);
  expect(lossy.output()).toContain('--exact needs --codec float32');
}, 120_000);

test('a coordinator trains with the workers that others attach, and only those with the token', async () => {
  const options = [
    '--data',
    data,
    '--out',
    join(scratch, 'attached'),
    '--epochs',
    '1',
    '--host',
    '127.0.0.1',
  ];
  const coordinator = gradcast('coordinator', ...options, '--port', '0', '--token', 's3cret');
  await said(coordinator, /Attach a machine: .* ws:\/\/127\.0\.0\.1:\d+/);
  const url = /ws:\/\/127\.0\.0\.1:\d+/.exec(coordinator.output())?.[0] ?? '';
  const stranger = gradcast('worker', url, '--workers', '1', '--engine', 'wasm', '--token', 'guess');
  expect(await stranger.ended).toBe(1);
  expect(stranger.output()).toContain('Wrong token');
  const worker = gradcast(
    'worker',
    url,
    '--workers',
    '2',
    '--engine',
    'wasm',
    '--token',
    's3cret',
    '--name',
    'lab',
  );
  expect(await coordinator.ended, coordinator.output()).toBe(0);
  expect(await worker.ended, worker.output()).toBe(0);
  expect(coordinator.output()).toContain('+ lab-1 joined');
  expect(JSON.stringify(await readFile(join(scratch, 'attached/config.json'), 'utf8'))).not.toContain(
    's3cret',
  );
});

test('another model than the default is trained from its topology alone', async () => {
  const file = join(scratch, 'model.json');
  const layer = (class_name: string, config: object) => ({ class_name, config });
  const layers = [
    layer('Conv2D', {
      filters: 4,
      kernel_size: [5, 5],
      strides: [2, 2],
      padding: 'same',
      activation: 'relu',
      batch_input_shape: [null, 28, 28, 1],
    }),
    layer('BatchNormalization', {}),
    layer('Dropout', { rate: 0.1 }),
    layer('GlobalAveragePooling2D', {}),
    layer('Dense', { units: 10, activation: 'softmax' }),
  ];
  await writeFile(file, JSON.stringify({ class_name: 'Sequential', config: { name: 'mine', layers } }));
  const run = train('own-model', '--epochs', '1', '--model', file);
  expect(await run.ended, run.output()).toBe(0);
  expect(await history('own-model')).toHaveLength(1);
});

test('a port that is in use is an error at once, for the second who wants it', async () => {
  const args = ['coordinator', '--data', data, '--host', '127.0.0.1', '--out'];
  const first = gradcast(...args, join(scratch, 'port-1'), '--port', '0');
  await said(first, /Listening on ws:.*:\d+/);
  const port = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(first.output())?.[1] ?? '';
  const second = gradcast(...args, join(scratch, 'port-2'), '--port', port);
  expect(await second.ended, second.output()).toBe(1);
  expect(second.output()).toMatch(/the port is in use\. Choose another with --port/);
  first.kill('SIGINT');
  expect(await first.ended, first.output()).toBe(130);
  expect(first.output()).toContain('there is no model');
  // Neither is in the way of the next try.
  expect((await readdir(scratch)).filter((name) => name.startsWith('port'))).toEqual([]);
}, 15_000);

test('a coordinator whose output nobody reads any more ends in order', async () => {
  const args = [
    'coordinator',
    '--data',
    data,
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--out',
    join(scratch, 'piped'),
  ];
  const run = spawn(process.execPath, ['bin/gradcast.js', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, error]: [string[], string[]] = [[], []];
  run.stderr.on('data', (data: Buffer) => error.push(data.toString()));
  await new Promise<void>((resolve) => {
    run.stdout.on('data', (data: Buffer) => {
      out.push(data.toString());
      if (out.join('').includes('Waiting for the first worker')) resolve();
    });
  });
  run.stdout.destroy();
  const stranger = new WebSocket(/ws:[^,\s]+/.exec(out.join(''))![0]);
  stranger.on('open', () => stranger.send(Uint8Array.of(0)));
  stranger.on('error', () => undefined);
  expect(await new Promise((resolve) => run.once('exit', resolve))).toBe(130);
  expect(error.join('')).toBe('');
}, 15_000);

test('workers that cannot start end the run with what they said', async () => {
  // An engine that looks installed and cannot be loaded; a good one that the machine has must not be found.
  const broken = join(scratch, 'broken');
  const folder = join(broken, 'node_modules/@tensorflow/tfjs-node');
  await mkdir(join(folder, 'lib/napi-v8'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "name": "@tensorflow/tfjs-node", "main": "index.js" }');
  await writeFile(join(folder, 'lib/napi-v8/tfjs_binding.node'), 'no addon');
  const env = { ...process.env, XDG_CACHE_HOME: scratch, HOME: scratch, GRADCAST_NATIVE_DIR: broken };
  const args = ['train', '--data', data, '--out', join(scratch, 'no-engine'), '--engine', 'native'];
  const run = spawnGradcast([...args, '--workers', '2'], env);
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/The workers on this machine have ended: .*No native TensorFlow/);
}, 20_000);

test('local workers end with a coordinator that is killed', async () => {
  const run = train('killed', '--epochs', '10000');
  await said(run, /Epoch 1\/10000/);
  const worker = spawnGradcast([
    'worker',
    /ws:[^,\s]+/.exec(run.output())![0],
    '--workers',
    '1',
    '--engine',
    'wasm',
  ]);
  await said(run, /\+ local-2 joined/);
  run.kill('SIGKILL');
  expect(await run.ended).toBe('SIGKILL');
  // Its pipes are closed only when the last of its workers has ended; one that a person attached keeps trying.
  await said(worker, /Trying again/);
  worker.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
}, 30_000);

test.each<[string, string[], RegExp]>([
  ['a folder without data', ['train', '--data', '/nonexistent-digits'], /nonexistent-digits/],
  ['a model that is none', ['evaluate', '/nonexistent-model', '--data', '.'], /No gradcast model in/],
  ['an address that is none', ['worker', 'http://localhost:1'], /looks like ws:/],
  ['an option that is none', ['train', '--epoch', '3'], /unknown option.*--epoch/],
  ['a token that keeps out nobody', ['coordinator', '--token', ''], /1 to 200 characters/],
  ['a number that is none', ['train', '--epochs', 'many'], /whole number/],
])('%s ends with exit code 1 and a sentence, without a stack trace', async (_, args, sentence) => {
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
