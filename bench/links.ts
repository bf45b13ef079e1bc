// Measures training steps over shaped links. Each worker runs in a network namespace of its own behind a link with a rate, the
// coordinator behind a link with ten times that rate. Workers sleep instead of computing. The workers' transport adds the
// delay, since tc's netem is seldom available; without namespaces, it also limits the rate. Each step is compared with two
// bounds: computation + bytes / rate + two delays, and the larger of computation and bytes / rate, for the counted bytes.
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { parseCodecRule, LINK_CODECS } from '../coordinator/links/codecs.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { integer } from '../cli/options.ts';
import { runCell, type Cell, type LinkWorker } from './links/cell.ts';
import { canShape, COORDINATOR_ADDRESS, isInside, runInside, ShapedNetwork } from './links/namespaces.ts';
import { median } from './support/statistics.ts';
import { preparePython, TORCH } from './support/python-environments.ts';
import { factoredKernel } from '../shared/codec/factors.ts';
import { layoutOf } from '../shared/model/layout.ts';
import { planWithBestCodecs, planRun } from '../coordinator/plan/plan.ts';
import { coordinatorRate, LINKS, type LinkShape, type LinkWorkerConfig } from './links/shape.ts';
import { runDdp } from './links/ddp.ts';
import { streamReport } from '../worker-node/engine/install/progress.ts';
import { nextMessage } from './support/children.ts';

interface Flags {
  readonly workers: number[];
  readonly batches: number[];
  readonly links: string[];
  readonly codecs: string[];
  readonly perSample: number;
  readonly firstBucketAt: number;
  readonly ddp?: boolean;
  readonly transport?: boolean;
  readonly wholeGradient?: boolean;
  readonly verbose?: boolean;
}

const CODECS = [...Object.keys(LINK_CODECS), 'auto'];
const names =
  (all: readonly string[]) =>
  (text: string): string[] => {
    const wanted = text.split(',');
    const unknown = wanted.filter((name) => !all.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`Choose from: ${all.join(', ')}.`);
    return wanted;
  };
const counts = (text: string): number[] => text.split(',').map(integer(1, 65_536));
const positive = (text: string): number => {
  if (Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('It must be a number above 0.');
};

const flags = new Command('npm run bench -- links')
  .description('Measures training steps over links with a rate and a delay.')
  .option('--workers <counts>', 'numbers of workers, separated by commas', counts, [1, 2, 4, 8])
  .option('--batches <counts>', 'samples per step, separated by commas', counts, [128, 1024])
  .option('--links <names>', LINKS.map(({ name }) => name).join(), names(LINKS.map(({ name }) => name)), [
    ...LINKS.map(({ name }) => name),
  ])
  .option('--codecs <names>', CODECS.join(), names(CODECS), CODECS)
  .option('--per-sample <ms>', 'time that a worker sleeps per sample', positive, 1)
  .option(
    '--first-bucket-at <part>',
    'part of a computation after which the first bucket of a gradient is ready; 1 for all buckets at the end',
    positive,
    0.5,
  )
  .option('--transport', "shape links in the workers' transport instead of in namespaces")
  .option('--whole-gradient', 'clip the gradient by its norm, so that no bucket is applied early')
  .option('--ddp', "also measure PyTorch's DDP over gloo on the same links, with 4 workers at batch 128")
  .option('--verbose', 'print every step')
  .parse()
  .opts<Flags>();

const namespaces = flags.transport !== true && (isInside() || canShape());
if (namespaces && !isInside()) process.exit(runInside());

const maxWorkers = Math.max(...flags.workers);
const network = namespaces ? new ShapedNetwork() : null;
const children: ChildProcess[] = [];
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  network?.close();
});
for (const ending of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(ending, () => process.exit(130));

const entry = join(dirname(process.argv[1] ?? ''), 'links', 'worker.js');
const workers: LinkWorker[] = [];
const addresses: string[] = [];
for (let i = 0; i < maxWorkers; i++) {
  const name = `worker-${i}`;
  const child =
    network === null
      ? fork(entry, [name], { stdio: 'inherit' })
      : spawn(ShapedNetwork.prefix[0], [...ShapedNetwork.prefix.slice(1), process.execPath, entry, name], {
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        });
  children.push(child);
  await nextMessage(child);
  addresses.push(network?.attach(child.pid ?? 0) ?? '');
  workers.push({
    run: (config: LinkWorkerConfig) => {
      const ended = nextMessage(child);
      child.send(config);
      return ended;
    },
  });
}

const dataset = syntheticDigits({ seed: 1, trainCount: 2 * Math.max(...flags.batches), testCount: 10 });
const prepared = await prepareJob(dataset, {
  batchSize: 128,
  epochs: 1,
  seed: 1,
  optimizer: flags.wholeGradient === true ? { name: 'adadelta', globalClipNorm: 1e3 } : undefined,
});
const layout = layoutOf(prepared.job.layout);
const host = network === null ? '127.0.0.1' : COORDINATOR_ADDRESS;
console.log(
  network === null
    ? "The workers' transport shapes the links, since network namespaces are not allowed here. The coordinator's link is not shaped."
    : "Rates: tc tbf in network namespaces; delays: the workers' transport.",
);
console.log(
  `${flags.perSample} ms per sample; the first bucket of a gradient is ready after ${flags.firstBucketAt} of the computation; medians in ms per step`,
);
console.log(
  "| link | batch | workers | codec | step | bound 1 | step / bound 1 | bound 2 | MB up | MB down | step / one worker's | step / best codec's | gradcast plan |",
);
console.log('| --- '.repeat(13) + '|');
for (const link of LINKS.filter(({ name }) => flags.links.includes(name))) {
  network?.shape(link, coordinatorRate(link));
  for (const batch of flags.batches) {
    const alone = new Map<string, number>();
    for (const count of flags.workers) {
      const row: [string, Cell][] = [];
      for (const codec of flags.codecs) {
        const cell = await runCell({
          prepared,
          dataset,
          batch,
          link,
          host,
          codecs: parseCodecRule(codec),
          workers: workers.slice(0, count),
          shapedOutside: network !== null,
          perSampleMs: flags.perSample,
          firstBucketAt: flags.firstBucketAt,
          verbose: flags.verbose === true,
        });
        if (count === 1) alone.set(codec, cell.stepMs);
        row.push([codec, cell]);
      }
      const best = Math.min(...row.filter(([codec]) => codec !== 'auto').map(([, { stepMs }]) => stepMs));
      for (const [codec, cell] of row) print(codec, cell, best);
      function print(codec: string, cell: Cell, bestMs: number): void {
        const one = alone.get(codec);
        const cells = [
          ...[link.name, batch, count, codec === 'auto' ? `auto: ${cell.codecs}` : codec],
          ...[cell.stepMs.toFixed(0), cell.serialMs.toFixed(0), (cell.stepMs / cell.serialMs).toFixed(2)],
          ...[
            cell.overlappedMs.toFixed(0),
            (cell.upBytes / 1e6).toFixed(2),
            (cell.downBytes / 1e6).toFixed(2),
          ],
          one === undefined ? '' : (cell.stepMs / one).toFixed(2),
          (cell.stepMs / bestMs).toFixed(2),
          predictStepMs(codec, link, batch, count).toFixed(0),
        ];
        console.log(`| ${cells.join(' | ')} |`);
      }
    }
  }
}
/** Step time that `gradcast plan` predicts. */
function predictStepMs(codec: string, link: LinkShape, batchSize: number, count: number): number {
  const settings = {
    workers: count,
    batchSize,
    rate: link.bitsPerSecond,
    coordinatorRate: coordinatorRate(link),
    delayMs: link.delayMs,
    msPerSample: flags.perSample,
    gradientReadyAt: flags.firstBucketAt,
    parameterCount: layout.length,
    kernel: factoredKernel(layout),
    sampleBytes: 784,
  };
  const codecs = LINK_CODECS[codec];
  return (codecs === undefined ? planWithBestCodecs(settings) : planRun(settings, codecs)).stepMs;
}

if (flags.ddp === true) await compareWithDdp();
process.exit(0);

/** Compares PyTorch with gradcast on 4 workers at batch 128, in turn. Only gradcast's transport adds the delay. */
async function compareWithDdp(): Promise<void> {
  const RANKS = 4;
  const BATCH = 128;
  const STEPS = 6;
  const TURNS = 2;
  if (network === null || maxWorkers < RANKS)
    throw new Error('--ddp needs network namespaces and at least 4 workers.');
  const report = streamReport(process.stderr, () => performance.now());
  const python = await preparePython(TORCH, report, new AbortController().signal);
  for (const link of LINKS.filter(({ name }) => flags.links.includes(name))) {
    network.shape(link, coordinatorRate(link));
    const ddpTimes: number[] = [];
    const gradcastTimes: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const times = await runDdp({
        python,
        address: addresses[0] ?? '',
        firstBucketAt: flags.firstBucketAt,
        steps: STEPS,
        pids: children.slice(0, RANKS).map(({ pid }) => pid ?? 0),
        computeMs: (flags.perSample * BATCH) / RANKS,
      });
      ddpTimes.push(median(times));
      const cell = await runCell({
        prepared,
        dataset,
        batch: BATCH,
        link,
        host,
        codecs: 'auto',
        shapedOutside: true,
        workers: workers.slice(0, RANKS),
        perSampleMs: flags.perSample,
        firstBucketAt: flags.firstBucketAt,
        verbose: false,
      });
      gradcastTimes.push(cell.stepMs);
    }
    const ratio = median(gradcastTimes.map((ms, i) => ms / (ddpTimes[i] ?? NaN)));
    console.log(
      `${link.name}, ${RANKS} workers, batch ${BATCH}: PyTorch DDP over gloo ${median(ddpTimes).toFixed(0)} ms per step (without the delay), ` +
        `gradcast ${median(gradcastTimes).toFixed(0)} ms (with it): ratio ${ratio.toFixed(2)}`,
    );
  }
}
