// Measures the damage of one lying worker among honest ones: the reported accuracy, the true accuracy of the weights, the
// banned workers and the warnings. Each run is short; its workers are processes on real sockets.
import { storedDataset } from '../test/support/images.ts';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { startCoordinator } from '../coordinator/hosting/coordinator.ts';
import { openDataset } from '../coordinator/data/load-dataset.ts';
import { waitForWorkers } from '../coordinator/pool/wait-for-workers.ts';
import { parseCodecRule } from '../coordinator/links/codecs.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import { plainReporter } from '../coordinator/report/plain.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { train } from '../coordinator/training/train.ts';
import { systemClock } from '../shared/util/clock.ts';
import { limitTrainSamples, type StoredDataset } from '../shared/data/dataset.ts';
import type { Job } from '../shared/model/job.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { openThreadedEngine } from '../worker-node/thread/threaded-engine.ts';
import { integer, fraction } from '../cli/options.ts';
import { HOSTILE_KINDS } from './support/hostile-kinds.ts';
import { sliceShard } from '../shared/data/shard.ts';
import { metricOf } from '../shared/protocol/messages.ts';

interface Flags {
  readonly kinds: string;
  readonly honest: number;
  readonly hostile: number;
  readonly engines: string;
  readonly epochs: number;
  readonly limit: number;
  readonly codec: string;
  readonly audit?: number;
  readonly seed: number;
  readonly data?: string;
  readonly checks: boolean;
  readonly verbose?: boolean;
}

const flags = new Command('npm run bench -- hostile-workers')
  .option('--kinds <names>', 'kinds of lies, separated by commas', Object.keys(HOSTILE_KINDS).join())
  .option('--honest <n>', 'honest workers', integer(1, 100), 3)
  .option('--hostile <n>', 'lying workers', integer(0, 100), 1)
  .option('--engines <names>', 'engines of the workers, in turn', 'native')
  .option('--epochs <n>', '', integer(1, 100), 2)
  .option('--limit <n>', 'training samples', integer(1, 60_000), 6_000)
  .option('--codec <name>', 'codec of the run, as in train', 'auto')
  .option('--audit <part>', 'audited part of the shards, as in train', fraction)
  .option('--seed <n>', '', integer(0, 2 ** 32 - 1), 1337)
  .option('--data <dir>', 'MNIST files; MNIST_DIR by default')
  .option('--no-checks', 'trust every worker')
  .option('--verbose', 'print all lines of the run')
  .parse()
  .opts<Flags>();

const clock = systemClock(globalThis);
const worker = fileURLToPath(new URL('support/hostile-worker.js', import.meta.url));
const threadFile = './dist/worker-node/thread/engine-thread.js';
const data = flags.data ?? process.env.MNIST_DIR;
const quiet = plainReporter(() => undefined, clock);
const dataset = limitTrainSamples(
  storedDataset(await openDataset({ ...(data === undefined ? {} : { data }), seed: 1 }, quiet)),
  flags.limit,
);

const titles = 'kind | reported | true | honest banned | liars banned | seconds | warnings';
console.log(`| ${titles} |\n|${' --- |'.repeat(7)}`);
for (const kind of flags.kinds.split(',')) console.log(await runWith(kind));
process.exit(0);

/** Runs one kind of lie. @returns a row of the table */
async function runWith(kind: string): Promise<string> {
  const { epochs, seed, audit, codec } = flags;
  const { job, initialWeights } = await prepareJob(dataset, { batchSize: 128, epochs, seed });
  const lines: string[] = [];
  const stop = new AbortController();
  const report = plainReporter((line) => {
    lines.push(line);
    if (flags.verbose === true) console.log(`    ${line}`);
  }, clock);
  const coordinator = await startCoordinator({
    job,
    clock,
    report,
    audit,
    host: '127.0.0.1',
    port: 0,
    maxWorkers: 100,
    codecs: parseCodecRule(codec),
    ...(codec === 'auto' ? {} : { switchesCodecs: () => true }),
    pageDir: 'dist/page',
    openCoordinatorEngine: flags.checks
      ? (choice) => openThreadedEngine({ file: threadFile, choice, note: () => undefined })
      : undefined,
    signal: stop.signal,
  });
  const engines = flags.engines.split(',');
  const names = [
    ...Array.from({ length: flags.honest }, (_, i) => `honest-${i}`),
    ...Array.from({ length: flags.hostile }, (_, i) => `liar-${i}`),
  ];
  const children = names.map((name, i) => {
    const behavior = name.startsWith('liar') ? kind : 'honest';
    const engine = engines[i % engines.length] ?? 'native';
    return fork(worker, [coordinator.urls[0] ?? '', name, engine, behavior], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  });
  await waitForWorkers(coordinator.pool, names.length, 60_000, clock, stop.signal);
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights } = optimizer;
  weights.set(initialWeights);
  const { stepRunner, pool } = coordinator;
  let reported = NaN;
  let error = '';
  const startedMs = clock.now();
  await train({
    job,
    dataset,
    optimizer,
    stepRunner,
    pool,
    report,
    clock,
    signal: stop.signal,
    save: (record) => {
      reported = metricOf(record, 'val_accuracy') ?? 0;
      return Promise.resolve();
    },
  }).catch((thrown: unknown) => (error = String(thrown)));
  const seconds = (clock.now() - startedMs) / 1000;
  await coordinator.close('done');
  for (const child of children) if (child.connected) child.disconnect();
  const banned = lines.filter((line) => line.includes(' is banned'));
  const warned = [...lines.filter((line) => line.startsWith('!')), error].filter((line) => line !== '');
  const cells = [
    HOSTILE_KINDS[kind]?.about ?? kind,
    reported.toFixed(4),
    (await trueAccuracy(job, weights, dataset)).toFixed(4),
    banned.filter((line) => line.startsWith('! honest-')).length,
    banned.filter((line) => line.startsWith('! liar-')).length,
    seconds.toFixed(1),
    warned.slice(0, 3).join(' / ').slice(0, 400) || 'nothing',
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Accuracy of the weights, computed by an engine of this process. */
async function trueAccuracy(job: Job, weights: Float32Array, { test }: StoredDataset): Promise<number> {
  const threaded = await openThreadedEngine({
    file: threadFile,
    choice: (flags.engines.split(',')[0] ?? 'native') as EngineChoice,
    note: () => undefined,
  });
  const computer = await threaded.engine.load(job);
  computer.setWeights(weights.slice());
  let correct = 0;
  for (let from = 0; from < test.count; from += 500) {
    const to = Math.min(test.count, from + 500);
    const all = { ...test, sampleNumbers: Uint32Array.from({ length: test.count }, (_, i) => i) };
    const result = await computer.evaluate(sliceShard(all, from, to));
    correct += result.metrics[0] ?? 0;
  }
  await threaded.close();
  return correct / test.count;
}
