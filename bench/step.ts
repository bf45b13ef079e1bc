// A whole distributed step on this machine (sockets, sum, Adadelta, broadcast) against the bare gradient step of one
// engine at the same batch, in turn. Arguments: [engine = wasm] [workers = 2] [steps = 120] [batch = 128]
import { forkEntry, nextMessage, spawnWorker } from './support/children.ts';
import { startInProcessCoordinator } from './support/in-process-coordinator.ts';
import { decile, median, spread } from './support/statistics.ts';

const [, , engine = 'wasm', workersText = '2', stepsText = '120', batchText = '128'] = process.argv;
const [workers, steps, batch] = [Number(workersText), Number(stepsText), Number(batchText)];
/** Steps in a row of each kind: training is a long row, and its first steps find the caches cold. */
const BLOCK = 15;
/** Of those, the first are not counted. */
const WARM_UP = 3;

const here = await startInProcessCoordinator({ workers, batch });
const bare = forkEntry('bare-engine', [engine, String(batch)]);
await nextMessage(bare);
/** As many engines as workers, each with its share, told to start at the same time: no step can be faster. */
const shares = Array.from({ length: workers }, () =>
  forkEntry('bare-engine', [engine, String(batch / workers)]),
);
await Promise.all(shares.map((share) => nextMessage(share)));
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
    ['shares', shardedStep],
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

/** What others on the machine take away shows in the median, and not in the quickest tenth. */
const ratios = (mine: readonly number[], others: readonly number[]): string =>
  [median, (values: readonly number[]) => decile(values, 1)]
    .map((of) => (of(mine) / of(others)).toFixed(3))
    .join(' by medians, ') + ' by first deciles';
const half = times.bare.map((elapsedMs) => elapsedMs / workers);
console.log(
  `ratio ${ratios(times.distributed, half)}: a step of ${workers} ${engine} workers / (a bare step of one / ${workers})`,
);
console.log(
  `ratio ${ratios(times.shares, half)}: ${workers} engines side by side without a network / the same`,
);
console.log(`distributed step, batch ${batch}: ${spread(times.distributed)} ms`);
console.log(`  of which the slowest worker's computation: ${spread(times.slowest)} ms`);
console.log(`${workers} engines side by side without a network: ${spread(times.shares)} ms`);
console.log(`bare gradient step, batch ${batch}: ${spread(times.bare)} ms`);

await here.coordinator.close('done');
for (const child of [bare, ...shares, ...children]) child.kill();
