// The gradient step of WebAssembly in a browser's tab, on one thread and on two, against that of a Node worker, in turn.
// Each is the only worker of a coordinator; the time is what the worker itself says that it computed. Needs Chromium.
// Arguments: [steps = 15] [batch = 128]
import { startCoordinator } from '../coordinator/coordinator.ts';
import { waitForWorkers } from '../coordinator/members/wait-for-workers.ts';
import { prepareJob } from '../coordinator/model.ts';
import { plainReport } from '../coordinator/report/plain-report.ts';
import { clockOf } from '../shared/clock.ts';
import { drawDigits } from '../shared/data/drawn-digits.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { openChromium } from '../test/support/chromium.ts';
import { spawnWorker } from './support/children.ts';
import { median, spread } from './support/statistics.ts';

const steps = Number(process.argv[2] ?? 15);
const batch = Number(process.argv[3] ?? 128);
const WARM_UP = 3;

const clock = clockOf(globalThis);
const { signal } = new AbortController();
const dataset = drawDigits({ seed: 1, trainCount: batch, testCount: 10 });
const { job, initialWeights: weights } = await prepareJob(dataset, { batchSize: batch, epochs: 1, seed: 1 });
const numbers = Uint32Array.from({ length: batch }, (_, i) => i);
const browser = await openChromium();

interface Contestant {
  readonly name: string;
  readonly times: number[];
  step(count: number): Promise<void>;
  close(): Promise<void>;
}

/** @param join attaches the one worker to an address, ws://host:port; its answer ends it */
async function contestant(
  name: string,
  join: (url: string) => Promise<() => unknown> | (() => unknown),
): Promise<Contestant> {
  const coordinator = await startCoordinator({
    ...{ job, host: '127.0.0.1', port: 0, maxWorkers: 1, pageDir: 'dist/page', clock, signal },
    report: plainReport(() => undefined, clock),
  });
  const end = await join(coordinator.urls[0] ?? '');
  await waitForWorkers(coordinator.pool, 1, 60_000, clock, signal);
  const times: number[] = [];
  coordinator.pool.listen({
    answered: (_, message) => {
      if (message.type === 'gradient') times.push(message.computeMs);
    },
  });
  return {
    name,
    times,
    async step(count) {
      await coordinator.rounds.gradient({ step: count as Step, weights, split: dataset.train }, numbers);
    },
    async close() {
      await coordinator.close('done');
      await end();
    },
  };
}

const tab =
  (query: string) =>
  async (url: string): Promise<() => unknown> => {
    const page = await browser.newPage();
    await page.goto(`${url.replace(/^ws/, 'http')}/?engine=wasm&${query}`);
    return () => page.close();
  };

const one = await contestant('tab, 1 thread', tab('threads=1'));
const two = await contestant('tab, 2 threads', tab('threads=2'));
const node = await contestant('Node, 1 thread', (url) => {
  const child = spawnWorker(url, 'wasm');
  return () => child.kill();
});
const all = [one, two, node];
for (let i = 0; i < WARM_UP + steps; i++) for (const each of all) await each.step(i);
const times = (each: Contestant): number[] => each.times.slice(WARM_UP);
console.log(`batch ${batch}, ${steps} steps each, in turn; ms a step`);
for (const each of all) console.log(`${each.name}: ${spread(times(each))}`);
console.log(`1 thread / 2 threads: ${(median(times(one)) / median(times(two))).toFixed(2)}`);
console.log(`tab / Node, 1 thread each: ${(median(times(one)) / median(times(node))).toFixed(2)}`);
for (const each of all) await each.close();
await browser.close();
