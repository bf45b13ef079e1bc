import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { spawnGradcast, type WorkerProcess } from '../support/worker-process.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'gradcast-e2e-'));
  for (const [name, base] of [
    ['cats', [200, 80, 60]],
    ['dogs', [60, 90, 200]],
  ] as const) {
    await mkdir(join(root, 'pets', name), { recursive: true });
    for (let i = 0; i < 60; i++) {
      const [height, width] = [16 + (i % 3), 16 + (i % 2)];
      const pixels = Uint8Array.from(
        { length: height * width * 3 },
        (_, at) => base[at % 3]! + ((at * 31 + i) % 50) - 25,
      );
      const jpeg = sharp(pixels, { raw: { width, height, channels: 3 } }).jpeg();
      await writeFile(join(root, 'pets', name, `${i}.jpg`), await jpeg.toBuffer());
    }
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

const gradcast = (...args: string[]): WorkerProcess =>
  spawnGradcast(args, {
    ...process.env,
    XDG_CACHE_HOME: join(root, 'cache'),
    MNIST_DIR: undefined,
    GRADCAST_TOKEN: undefined,
  });

it('trains on folders of images, resumes the run with its options, and evaluates its model', async () => {
  const run = join(root, 'run');
  const options = ['--validation-split', '0.25', '--image-size', '12x14', '--batch-size', '30'];
  const train = (...args: string[]): Promise<number | string> =>
    gradcast('train', '--engine', 'wasm', '--workers', '1', ...args).ended;
  const first = gradcast(
    ...['train', '--engine', 'wasm', '--workers', '1', '--data', join(root, 'pets'), '--out', run],
    ...options,
    ...['--epochs', '1'],
  );
  expect(await first.ended).toBe(0);
  expect(first.output()).toContain(
    'Images: 90 to train on, 30 to validate on, in 2 classes; 12 x 14 color, scaled from 16 to 18 x 16 to 17 and cut to the middle if of another shape.',
  );
  expect(first.output()).toContain('x_train shape: (90, 12, 14, 3)');
  expect(await train('--resume', run, '--data', join(root, 'pets'), '--epochs', '2')).toBe(0);
  const lines = (await readFile(join(run, 'history.jsonl'), 'utf8')).trim().split('\n');
  const history = lines.map((line) => JSON.parse(line) as EpochRecord);
  expect(history.map(({ epoch }) => epoch)).toEqual([1, 2]);
  expect(history[1]?.val_accuracy).toBe(1);
  // The model has its size and its classes; the same images are held back.
  const evaluate = gradcast(
    'evaluate',
    run,
    '--data',
    join(root, 'pets'),
    '--validation-split',
    '0.25',
    '--engine',
    'wasm',
  );
  expect(await evaluate.ended).toBe(0);
  expect(evaluate.output()).toContain('30 test samples');
  expect(evaluate.output()).toContain('Test accuracy: 1.0000');
  const one = gradcast('evaluate', run, '--test-data', join(root, 'pets'), '--engine', 'wasm');
  expect(await one.ended).toBe(0);
  expect(one.output()).toContain('120 test samples');
  const inspect = gradcast('data', 'inspect', join(root, 'pets'), '--image-size', '8');
  expect(await inspect.ended).toBe(0);
  expect(inspect.output()).toMatch(/^pets: Images from .*pets, one folder a class\.$/m);
  expect(inspect.output()).toMatch(/^ {2}cats +48 +12$/m);
  const predict = gradcast('predict', run, join(root, 'pets/dogs/7.jpg'), '--engine', 'wasm');
  expect(await predict.ended).toBe(0);
  expect(predict.output()).toMatch(/7\.jpg: dogs \(\d+\.\d%\) {3}then cats/);
});
