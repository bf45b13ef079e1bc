// Reads an epoch of small JPEGs in shuffled order, in batches of 128: one by one without a cache, then cold (the cache is filled) and
// warm. Then trains epochs, cold and warm, with a worker that computes faster than images are decoded, and with one that is slower, and
// counts how long steps wait for their samples: the slower one must never wait. A stub engine in this process takes a fixed time for
// a sample and leaves the processor to the decoder, as workers on other machines do.
// Arguments: [images = 100000] [side = 64] [epochs = 2, the first of them cold] [time of the slow worker, in times of decoding = 2]
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { openImageFolder } from '../coordinator/data/image-folder.ts';
import { decodeImageFile } from '../coordinator/data/image-source.ts';
import { epochOrder } from '../coordinator/training/sampler.ts';
import type { Dataset, LazySplit } from '../shared/data/dataset.ts';
import { stubEngine } from '../test/support/stub-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../test/support/test-coordinator.ts';
import { attachWorker, trainToEnd } from '../test/support/training-run.ts';

const [count = 100_000, side = 64, epochs = 2, slowness = 2] = process.argv.slice(2).map(Number);
const BATCH = 128;
const AHEAD = 8;
const CLASSES = 10;
const SEED = 1;
/** Images of the baseline: it is slow, and each costs the same. */
const BASELINE_IMAGES = 3000;
const FILES_AT_ONCE = 64;
/** Time of a sample on a worker that is faster than the decoder. */
const FAST_SAMPLE_MS = 0.05;

const seconds = (ms: number): string => (ms / 1000).toFixed(2);

const root = await mkdtemp(join(tmpdir(), 'gradcast-images-'));
process.once('exit', () =>
  console.log(`Peak of this process: ${Math.round(process.resourceUsage().maxRSS / 1024)} MB.`),
);
try {
  const writing = await timed(writeImages);
  console.log(`${count} JPEGs of ${side} x ${side} written in ${writing.toFixed(1)} s.`);
  const report = {
    info: () => undefined,
    warn: (line: string) => console.log(`! ${line}`),
    progress: () => undefined,
  };
  const open = () =>
    openImageFolder({
      ...{ folder: join(root, 'images'), option: 'bench', name: 'bench', seed: SEED, report },
      cacheDir: join(root, 'cache'),
    });
  let dataset = await open();
  console.log(
    `Listed, and opened: ${(await timed(async () => void (dataset = await open()))).toFixed(1)} s.`,
  );
  await baseline();
  let decodeMs = 0;
  for (const name of ['cold', 'warm', 'warm']) {
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    const epoch = await timed(() => readEpoch(dataset.train));
    clearInterval(watch);
    if (name === 'cold') decodeMs = (1000 * epoch) / dataset.train.count;
    console.log(
      `${name}: ${Math.round(dataset.train.count / epoch)} samples/s, ${epoch.toFixed(1)} s an epoch, at most ${Math.round(peak / 2 ** 20)} MB resident`,
    );
  }
  const workers = { 'fast worker': FAST_SAMPLE_MS, 'slow worker': slowness * decodeMs };
  for (const [name, sampleMs] of Object.entries(workers)) {
    console.log(
      `${name}: ${sampleMs.toFixed(2)} ms a sample; the decoder takes ${decodeMs.toFixed(2)} ms, when it is alone`,
    );
    await rm(join(root, 'cache'), { recursive: true });
    await trainEpochs(await open(), sampleMs);
  }
} finally {
  await rm(root, { recursive: true });
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1000;
}

/** Writes images of smooth colors with noise, which are as large as small photographs. */
async function writeImages(): Promise<void> {
  for (let label = 0; label < CLASSES; label++)
    await mkdir(join(root, 'images', `class ${label}`), { recursive: true });
  for (let from = 0; from < count; from += FILES_AT_ONCE) {
    const length = Math.min(FILES_AT_ONCE, count - from);
    await Promise.all(Array.from({ length }, (_, i) => writeImage(from + i)));
  }
}

async function writeImage(number: number): Promise<void> {
  const pixels = new Uint8Array(side * side * 3);
  let state = number + 1;
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pixels[i] = ((number * 37 + i / 3 / side) % 192) + (state >>> 26);
  }
  const jpeg = await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .jpeg()
    .toBuffer();
  await writeFile(join(root, 'images', `class ${number % CLASSES}`, `${number}.jpg`), jpeg);
}

/** Reads the split as training does: batches in a shuffled order, some of them ahead. */
async function readEpoch(train: LazySplit): Promise<void> {
  const order = epochOrder(SEED, 1, train.count);
  const batches: Promise<unknown>[] = [];
  for (let from = 0; from < order.length; from += BATCH) {
    batches.push(train.read(Uint32Array.from(order.subarray(from, from + BATCH))));
    if (batches.length > AHEAD) await batches.shift();
  }
  await Promise.all(batches);
}

/** Trains with one worker that takes the same time for every sample. */
async function trainEpochs(dataset: Dataset, perSampleMs: number): Promise<void> {
  const topology = tinyTopology([side, side, 3], CLASSES);
  const coordinator = await testCoordinator(dataset, { topology, batchSize: BATCH, epochs });
  attachWorker(coordinator.url, 'worker', stubEngine({ perSampleMs, tamper: (value) => value }));
  await waitForWorkersReady(coordinator, 1);
  const waitsMs: number[] = [];
  let startedMs = performance.now();
  let stepsEndMs = startedMs;
  let epoch = 0;
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
  await trainToEnd(coordinator, dataset, {
    onStep({ dataWaitMs }) {
      waitsMs.push(dataWaitMs);
      stepsEndMs = performance.now();
    },
    onEpoch() {
      const stepsMs = stepsEndMs - startedMs;
      const [firstMs = 0, ...othersMs] = waitsMs.splice(0);
      const waitedMs = othersMs.reduce((sum, wait) => sum + wait, 0);
      const name = epoch++ === 0 ? 'cold' : 'warm';
      console.log(
        `  ${name}: ${1 + othersMs.length} steps in ${seconds(stepsMs)} s; the first waited ${seconds(firstMs)} s for samples, the others ${seconds(waitedMs)} s (${((100 * waitedMs) / stepsMs).toFixed(1)}% of the time, at most ${Math.round(Math.max(0, ...othersMs))} ms a step); at most ${Math.round(peak / 2 ** 20)} MB resident`,
      );
      startedMs = performance.now();
    },
  });
  clearInterval(watch);
  await coordinator.close('done');
}

/** One image after the other, without a cache and without reading ahead. */
async function baseline(): Promise<void> {
  const images = Math.min(count, BASELINE_IMAGES);
  const options = { size: [side, side], channels: 3, fit: 'crop' } as const;
  const taken = await timed(async () => {
    for (let i = 0; i < images; i++) {
      const number = (i * 7919) % count;
      await decodeImageFile(join(root, 'images', `class ${number % CLASSES}`, `${number}.jpg`), options);
    }
  });
  const { size } = await stat(join(root, 'images', 'class 0', '0.jpg'));
  console.log(
    `one by one, no cache: ${Math.round(images / taken)} samples/s (${images} images of about ${size} bytes)`,
  );
}
