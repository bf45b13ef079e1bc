// A whole distributed step on this machine (sockets, sum, Adadelta, broadcast) against the bare gradient step of one
// engine at the same batch, in turn. Arguments: [engine = wasm] [workers = 2] [steps = 40] [batch = 128]
import { startCoordinator } from '../coordinator/coordinator.ts';
import { waitForWorkers } from '../coordinator/members/wait-for-workers.ts';
import { prepareJob } from '../coordinator/model.ts';
import { plainReport } from '../coordinator/report/plain-report.ts';
import { createOptimizer } from '../coordinator/training/optimizer.ts';
import { clockOf } from '../shared/clock.ts';
import { drawDigits } from '../shared/data/drawn-digits.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { forkEntry, nextMessage, spawnWorker } from './support/children.ts';
import { median, spread } from './support/statistics.ts';

const [, , engine = 'wasm', workersText = '2', stepsText = '40', batchText = '128'] = process.argv;
const [workers, steps, batch] = [Number(workersText), Number(stepsText), Number(batchText)];
/** Steps in a row of each kind: training is a long row, and its first steps find the caches cold. */
const BLOCK = 40;
/** Of those, the first are not counted. */
const WARM_UP = 5;

const clock = clockOf(globalThis);
const { signal } = new AbortController();
const dataset = drawDigits({ seed: 1, trainCount: batch, testCount: 10 });
const { job, initialWeights: weights } = await prepareJob(dataset, { batchSize: batch, epochs: 1, seed: 1 });
const coordinator = await startCoordinator({
  job,
  host: '127.0.0.1',
  port: 0,
  maxWorkers: workers,
  pageDir: 'dist/page',
  clock,
  report: plainReport(() => undefined, clock),
  signal,
});
const bare = forkEntry('bare-engine', [engine, String(batch)]);
await nextMessage(bare);
/** As many engines as workers, each with its share, told to start at the same time: no step can be faster. */
const shares = Array.from({ length: workers }, () =>
  forkEntry('bare-engine', [engine, String(batch / workers)]),
);
await Promise.all(shares.map((share) => nextMessage(share)));
const children = Array.from({ length: workers }, () => spawnWorker(coordinator.urls[0] ?? '', engine));
await waitForWorkers(coordinator.pool, workers, 60_000, clock, signal);

const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
const numbers = Uint32Array.from({ length: batch }, (_, i) => i);
let step = 0;
let slowestMs = 0;
coordinator.pool.listen({
  answered: (_, message) => {
    if (message.type === 'gradient') slowestMs = Math.max(slowestMs, message.computeMs);
  },
});
async function distributedStep(): Promise<number> {
  const startedMs = performance.now();
  slowestMs = 0;
  const input = { step: step++ as Step, weights, split: dataset.train };
  await coordinator.rounds.gradient(input, numbers, {
    next: numbers,
    onSummed: (gradientSum, part) => optimizer.step(weights, gradientSum, batch, part),
  });
  return performance.now() - startedMs;
}
async function bareStep(): Promise<number> {
  const answer = nextMessage<number>(bare);
  bare.send('step');
  return answer;
}

async function sharesStep(): Promise<number> {
  const startedMs = performance.now();
  const answers = shares.map((share) => nextMessage<number>(share));
  for (const share of shares) share.send('step');
  await Promise.all(answers);
  return performance.now() - startedMs;
}

const times = {
  shares: [] as number[],
  distributed: [] as number[],
  slowest: [] as number[],
  bare: [] as number[],
};
for (let done = 0; done < steps; done += BLOCK - WARM_UP) {
  for (const [kind, run] of [
    ['bare', bareStep],
    ['shares', sharesStep],
    ['distributed', distributedStep],
  ] as const) {
    for (let i = 0; i < BLOCK; i++) {
      const elapsedMs = await run();
      if (i < WARM_UP) continue;
      times[kind].push(elapsedMs);
      if (kind === 'distributed') times.slowest.push(slowestMs);
    }
  }
}
const ratio = median(times.distributed) / (median(times.bare) / workers);
console.log(
  `ratio ${ratio.toFixed(3)}: a step of ${workers} ${engine} workers / (a bare step of one / ${workers})`,
);
console.log(`distributed step, batch ${batch}: ${spread(times.distributed)} ms`);
console.log(`  of which the slowest worker's computation: ${spread(times.slowest)} ms`);
console.log(`${workers} engines side by side without a network: ${spread(times.shares)} ms`);
console.log(`bare gradient step, batch ${batch}: ${spread(times.bare)} ms`);

await coordinator.close('done');
for (const child of [bare, ...shares]) child.kill();
for (const child of children) child.kill();
