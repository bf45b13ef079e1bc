// Compares a whole distributed step on this machine (sockets, sum, Adadelta, broadcast) with the bare gradient step of one
// engine at the same batch, in alternating blocks. Arguments: [engine = wasm] [workers = 2] [steps = 120] [batch = 128]
import { forkEntry, nextMessage, spawnWorker } from './support/children.ts';
import { startInProcessCoordinator } from './support/in-process-coordinator.ts';
import { decile, median, spread } from './support/statistics.ts';

const [, , engine = 'wasm', workersText = '2', stepsText = '120', batchText = '128'] = process.argv;
const workers = Number(workersText);
const steps = Number(stepsText);
const batch = Number(batchText);
/** Consecutive steps of each kind, as in training: the first steps after a change find cold caches. */
const BLOCK = 15;
/** First steps of a block that are not counted. */
const WARM_UP = 3;

const here = await startInProcessCoordinator({ workers, batch });
const bare = forkEntry('bare-engine', [engine, String(batch)]);
await nextMessage(bare);
/** One engine per worker, each with its part of the batch, started at the same time: a lower bound of a step. */
const parallel = Array.from({ length: workers }, () =>
  forkEntry('bare-engine', [engine, String(batch / workers)]),
);
await Promise.all(parallel.map((engine) => nextMessage(engine)));
const children = Array.from({ length: workers }, () => spawnWorker(here.url, engine));
await here.allWorkersReady();

let slowestMs = 0;
here.coordinator.pool.subscribe({
  answered: (_, message) => {
    if (message.type === 'gradient') slowestMs = Math.max(slowestMs, message.result?.computeMs ?? 0);
  },
});
async function distributedStep(): Promise<number> {
  slowestMs = 0;
  return here.step();
}
async function bareStep(): Promise<number> {
  const answer = nextMessage<number>(bare);
  bare.send('step');
  return answer;
}

async function shardedStep(): Promise<number> {
  const startedMs = performance.now();
  const answers = parallel.map((engine) => nextMessage<number>(engine));
  for (const part of parallel) part.send('step');
  await Promise.all(answers);
  return performance.now() - startedMs;
}

const times = {
  parallel: [] as number[],
  distributed: [] as number[],
  slowest: [] as number[],
  bare: [] as number[],
};
for (let done = 0; done < steps; done += BLOCK - WARM_UP) {
  for (const [kind, run] of [
    ['bare', bareStep],
    ['parallel', shardedStep],
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

/** Ratios of medians and of first deciles. Other programs affect the median, but hardly the fastest tenth. */
const ratios = (mine: readonly number[], others: readonly number[]): string =>
  [median, (values: readonly number[]) => decile(values, 1)]
    .map((of) => (of(mine) / of(others)).toFixed(3))
    .join(' by medians, ') + ' by first deciles';
const half = times.bare.map((elapsedMs) => elapsedMs / workers);
console.log(
  `ratio ${ratios(times.distributed, half)}: a step of ${workers} ${engine} workers / (a bare step of one / ${workers})`,
);
console.log(
  `ratio ${ratios(times.parallel, half)}: ${workers} engines in parallel without a network / the same`,
);
console.log(`distributed step, batch ${batch}: ${spread(times.distributed)} ms`);
console.log(`  of which the slowest worker's computation: ${spread(times.slowest)} ms`);
console.log(`${workers} engines in parallel without a network: ${spread(times.parallel)} ms`);
console.log(`bare gradient step, batch ${batch}: ${spread(times.bare)} ms`);

await here.coordinator.close('done');
for (const child of [bare, ...parallel, ...children]) child.kill();
