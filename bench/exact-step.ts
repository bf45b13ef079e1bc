// Compares a whole distributed step (sockets, checksums, sum, Adadelta, broadcast) in exact mode with one without, in
// alternating blocks. Each worker has one thread.
// Arguments: [native | wasm] [workers = 2] [steps = 120] [batch = 128] [micro-shard = 16,32]
import { spawnWorker } from './support/children.ts';
import { startInProcessCoordinator } from './support/in-process-coordinator.ts';
import { decile, median, spread } from './support/statistics.ts';

const [
  ,
  ,
  engine = 'native',
  workersText = '2',
  stepsText = '120',
  batchText = '128',
  microShardsText = '16,32',
] = process.argv;
const workers = Number(workersText);
const steps = Number(stepsText);
const batch = Number(batchText);
/** Consecutive steps of each kind, as in training: the first steps after a change find cold caches. */
const BLOCK = 15;
/** First steps of a block that are not counted. */
const WARM_UP = 3;

const kinds = [];
for (const microShard of [undefined, ...microShardsText.split(',').map(Number)]) {
  const here = await startInProcessCoordinator({
    workers,
    batch,
    ...(microShard === undefined ? {} : { microShard }),
  });
  const children = Array.from({ length: workers }, () => spawnWorker(here.url, engine, ['--threads', '1']));
  await here.allWorkersReady();
  kinds.push({ microShard, here, children, times: [] as number[] });
}

// In the first round of blocks, graphs are captured.
for (let done = WARM_UP - BLOCK; done < steps; done += BLOCK - WARM_UP) {
  for (const { here, times } of kinds) {
    for (let i = 0; i < BLOCK; i++) {
      const elapsedMs = await here.step();
      if (i >= WARM_UP && done >= 0) times.push(elapsedMs);
    }
  }
}

const plain = kinds[0]!.times;
for (const { microShard, times } of kinds) {
  const label = microShard === undefined ? 'not exact' : `micro-shards of ${microShard}`;
  const ratio = [median(times) / median(plain), decile(times, 1) / decile(plain, 1)].map((each) =>
    each.toFixed(3),
  );
  const ratios = microShard === undefined ? '' : `, ${ratio[0]} x by medians, ${ratio[1]} x by first deciles`;
  console.log(`${workers} ${engine} workers, batch ${batch}, ${label}: ${spread(times)} ms${ratios}`);
}

for (const { here, children } of kinds) {
  await here.coordinator.close('done');
  for (const child of children) child.kill();
}
