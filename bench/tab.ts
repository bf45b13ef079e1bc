// Measures a contributing tab in headless Chromium. First compares the gradient step of WebAssembly in a tab, on one and on two
// threads, with that of a Node worker: each is the only worker of a coordinator, and the time is the reported computation.
// Then measures a training tab: the time to its first gradient, the frames of its page, the cost of a drawn digit that is read all
// the time, and the long tasks of the page. Needs Chromium.
// Arguments: [steps = 15] [batch = 128] [blocks of drawing = 10]; 0 skips a part.
import { prepareJob } from '../coordinator/model/model.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { train } from '../coordinator/training/train.ts';
import { systemClock } from '../shared/util/clock.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { layoutOf } from '../shared/model/layout.ts';
import { launchBareChromium, type AttachedTab, type BareChromium } from './support/bare-chromium.ts';
import { spawnWorker } from './support/children.ts';
import { startInProcessCoordinator, type InProcessCoordinator } from './support/in-process-coordinator.ts';
import { median, spread } from './support/statistics.ts';

const steps = Number(process.argv[2] ?? 15);
const batchSize = Number(process.argv[3] ?? 128);
const WARM_UP = 3;
const blocks = Number(process.argv[4] ?? 10);
/** Time for which frames are counted. */
const FRAMES_MS = 10_000;
/** Length of a block of each drawing phase. */
const BLOCK_MS = 1_500;

const addressOf = ({ url }: InProcessCoordinator): string => url.replace(/^ws/, 'http');
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Records the computation time of each further gradient, in milliseconds. */
function computeTimes({ coordinator }: InProcessCoordinator): number[] {
  const times: number[] = [];
  coordinator.pool.subscribe({
    answered: (_, message) => {
      if (message.type === 'gradient' && message.result !== undefined) times.push(message.result.computeMs);
    },
  });
  return times;
}

interface Variant {
  readonly name: string;
  readonly times: number[];
  step(): Promise<number>;
  close(): Promise<void>;
}

/** @param join attaches the one worker to a coordinator and returns a function that ends it */
async function openVariant(
  name: string,
  join: (here: InProcessCoordinator) => Promise<() => unknown> | (() => unknown),
): Promise<Variant> {
  const here = await startInProcessCoordinator({ workers: 1, batch: batchSize });
  const end = await join(here);
  await here.allWorkersReady();
  return {
    name,
    times: computeTimes(here),
    step: here.step,
    async close() {
      await here.coordinator.close('done');
      await end();
    },
  };
}

async function compareSteps(browser: BareChromium): Promise<void> {
  const tab = (query: string) => async (here: InProcessCoordinator) => {
    const tab = await browser.open(`${addressOf(here)}/?engine=wasm&${query}`);
    return () => tab.close();
  };
  const one = await openVariant('tab, 1 thread', tab('threads=1'));
  const two = await openVariant('tab, 2 threads', tab('threads=2'));
  const node = await openVariant('Node, 1 thread', ({ url }) => {
    const child = spawnWorker(url, 'wasm');
    return () => child.kill();
  });
  const all = [one, two, node];
  for (let i = 0; i < WARM_UP + steps; i++) for (const each of all) await each.step();
  const times = (each: Variant): number[] => each.times.slice(WARM_UP);
  console.log(`batch ${batchSize}, ${steps} steps each, in turn; ms per step`);
  for (const each of all) console.log(`${each.name}: ${spread(times(each))}`);
  console.log(`1 thread / 2 threads: ${(median(times(one)) / median(times(two))).toFixed(2)}`);
  console.log(`tab / Node, 1 thread each: ${(median(times(one)) / median(times(node))).toFixed(2)}`);
  for (const each of all) await each.close();
}

// Scripts of the page are strings, since the types of this file are Node's.
const OBSERVE = `
  longTasks = [];
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
    .observe({ entryTypes: ['longtask'] });
  readings = 0;
  // Counts the answers of each worker that receives messages: the shown digit may stay the same from one reading to the next.
  observed = new Set();
  bare = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (...message) {
    if (!observed.has(this)) this.addEventListener('message', ({ data }) => { if (data.type === 'prediction') readings++; });
    observed.add(this);
    return bare.apply(this, message);
  };
`;
const BOX = `
  document.getElementById('pad').scrollIntoView();
  (({ left, top }) => [left + 20, top + 20])(document.getElementById('pad').getBoundingClientRect())
`;
const SCRIBBLE = `
  (() => {
    const pad = document.getElementById('pad');
    let turn = 0;
    scribbling = setInterval(() => {
      const { left, top, width, height } = pad.getBoundingClientRect();
      turn += 0.2;
      const clientX = left + width * (0.5 + 0.3 * Math.cos(turn));
      const clientY = top + height * (0.5 + 0.3 * Math.sin(turn * 1.3));
      pad.dispatchEvent(new PointerEvent('pointermove', { clientX, clientY, pointerId: 1 }));
    }, 16);
  })()
`;

const DRAW_DIGIT = "document.querySelector('#sample-digits button').click()";
const CLEAR = "document.getElementById('clear-drawing').click()";
/** Times of all frames for a while. */
const FRAMES = `new Promise((resolve) => {
  const times = [];
  const onFrame = (now) => {
    times.push(now);
    if (now - times[0] < ${FRAMES_MS}) requestAnimationFrame(onFrame);
    else resolve(times);
  };
  requestAnimationFrame(onFrame);
})`;
const none = (): Promise<void> => Promise.resolve();

async function startDrawing(page: AttachedTab): Promise<void> {
  const [x, y] = await page.evaluate<[number, number]>(BOX);
  await page.mouse('mousePressed', x, y);
  await page.evaluate(SCRIBBLE);
}

async function stopDrawing(page: AttachedTab): Promise<void> {
  await page.evaluate('clearInterval(scribbling)');
  const [x, y] = await page.evaluate<[number, number]>(BOX);
  await page.mouse('mouseReleased', x, y);
  await page.evaluate(CLEAR);
}

/** Draws without reading, to measure painting alone, which is slow on a software GPU. */
async function startUnread(page: AttachedTab): Promise<void> {
  await page.evaluate(`
    post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.type !== 'picture') post.call(this, message, ...rest);
    }
  `);
  await startDrawing(page);
}

async function stopUnread(page: AttachedTab): Promise<void> {
  await stopDrawing(page);
  await page.evaluate('Worker.prototype.postMessage = post');
}

/** Counts the frames of the page while its tab contributes and its charts follow the run. */
async function measureFrames(page: AttachedTab): Promise<void> {
  const frames = await page.evaluate<number[]>(FRAMES);
  const gaps = frames.slice(1).map((ms, i) => ms - (frames[i] ?? NaN));
  const longTasks = await page.evaluate<number[]>('longTasks');
  console.log(
    `frames while the tab contributes: ${((gaps.length * 1_000) / FRAMES_MS).toFixed(1)} per second, the longest after ` +
      `${Math.max(...gaps).toFixed(0)} ms; ${longTasks.length} tasks over 50 ms on the main thread`,
  );
}

async function watchPage(browser: BareChromium): Promise<void> {
  const here = await startInProcessCoordinator({ workers: 1, batch: batchSize, batches: 100 });
  const dataset = syntheticDigits({ seed: 1, trainCount: 100 * batchSize, testCount: 10 });
  const { job, initialWeights } = await prepareJob(dataset, { batchSize, epochs: 1e6, seed: 1 });
  const stop = new AbortController();
  const times = computeTimes(here);
  const { pool, stepRunner, feed } = here.coordinator;
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(initialWeights);
  const training = train({
    job,
    dataset,
    stepRunner,
    pool,
    report: feed,
    signal: stop.signal,
    optimizer,
    clock: systemClock(globalThis),
    save: () => Promise.resolve(),
  });
  const firstGradient = new Promise<void>((resolve) => {
    pool.subscribe({ answered: () => resolve() });
  });
  const startedMs = performance.now();
  const query = process.env.THREADS === undefined ? '' : `&threads=${process.env.THREADS}`;
  const tab = await browser.open(`${addressOf(here)}/?engine=wasm${query}`);
  await firstGradient;
  console.log(`first gradient after ${(performance.now() - startedMs).toFixed(0)} ms`);

  const page = await tab.attach();
  await page.evaluate(OBSERVE);
  await measureFrames(page);
  /** Steps and readings of one block. */
  const during = async (): Promise<{ times: number[]; readings: number }> => {
    await page.evaluate('readings = 0');
    const from = times.length;
    await sleep(BLOCK_MS);
    return { times: times.slice(from), readings: await page.evaluate<number>('readings') };
  };
  const phases = {
    'nothing drawn': [none, none],
    'a digit': [(tab: AttachedTab) => tab.evaluate(DRAW_DIGIT), (tab: AttachedTab) => tab.evaluate(CLEAR)],
    'drawing all the time, unread': [startUnread, stopUnread],
    'drawing all the time': [startDrawing, stopDrawing],
  } as const;
  const taken = Object.keys(phases).map((name) => ({
    name,
    times: [] as number[],
    medians: [] as number[],
    readings: 0,
  }));
  // The first round opens the engine that reads, and is not counted.
  for (let i = -1; i < blocks; i++) {
    for (const [at, [begin, end]] of Object.values(phases).entries()) {
      await begin(page);
      await sleep(200);
      const { times, readings } = await during();
      await end(page);
      await sleep(200);
      const phase = taken[at];
      if (i < 0 || phase === undefined) continue;
      phase.times.push(...times);
      phase.medians.push(median(times));
      phase.readings += readings;
    }
    if (i < 0) await page.evaluate('longTasks.length = 0');
  }
  for (const { name, times, medians, readings } of taken) {
    const perSecond = (count: number): string => ((count * 1_000) / (blocks * BLOCK_MS)).toFixed(1);
    // The machine is more alike within a round than over all rounds.
    const ratio = median(medians.map((ms, i) => ms / (taken[0]?.medians[i] ?? NaN))).toFixed(3);
    console.log(
      `${name}: ${spread(times)} ms of computation per step (x ${ratio}), ${perSecond(times.length)} steps and ${perSecond(readings)} readings per second`,
    );
  }
  const longTasks = await page.evaluate<number[]>('longTasks');
  console.log(
    `tasks over 50 ms on the main thread: ${longTasks.length}, the longest ${Math.max(0, ...longTasks).toFixed(0)} ms`,
  );
  stop.abort();
  await training.catch(() => undefined);
  await here.coordinator.close('done');
  await tab.close();
}

const browser = await launchBareChromium();
try {
  if (steps > 0) await compareSteps(browser);
  if (blocks > 0) await watchPage(browser);
} finally {
  await browser.close();
}
process.exit(0);
