// Training steps over shaped links: each worker in a network namespace of its own behind a link with a rate, the
// coordinator behind one ten times as wide, and workers that sleep instead of computing. The delay is put in by the
// workers' transport, since tc's netem is seldom there. Where namespaces are not allowed, the transport shapes the rate
// too. Beside each step stand two bounds: computation + bytes / rate + two delays, and the larger of computation and
// bytes / rate; bytes are those that were counted.
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
  readonly tailAt: number;
  readonly ddp?: boolean;
  readonly transport?: boolean;
  readonly verbose?: boolean;
}

const CODECS = [...Object.keys(LINK_CODECS), 'auto'];
const names =
  (all: readonly string[]) =>
  (text: string): string[] => {
    const wanted = text.split(',');
    const unknown = wanted.filter((name) => !all.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`There are: ${all.join(', ')}.`);
    return wanted;
  };
const counts = (text: string): number[] => text.split(',').map(integer(1, 65_536));
const positive = (text: string): number => {
  if (Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('It takes a number above 0.');
};

const flags = new Command('npm run bench -- links')
  .description('Training steps over links with a rate and a delay.')
  .option('--workers <counts>', 'separated by commas', counts, [1, 2, 4, 8])
  .option('--batches <counts>', 'samples a step', counts, [128, 1024])
  .option('--links <names>', LINKS.map(({ name }) => name).join(), names(LINKS.map(({ name }) => name)), [
    ...LINKS.map(({ name }) => name),
  ])
  .option('--codecs <names>', CODECS.join(), names(CODECS), CODECS)
  .option('--per-sample <ms>', 'what a worker sleeps for a sample', positive, 1)
  .option(
    '--tail-at <part>',
    'of a computation after which the tail of a gradient is there; 1: with the rest',
    positive,
    0.5,
  )
  .option('--transport', "shape the workers' transport instead of using namespaces")
  .option('--ddp', "PyTorch's DDP over gloo on the same links, 4 workers at batch 128, beside it")
  .option('--verbose', 'every step')
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
    work: (order: LinkWorkerConfig) => {
      const ended = nextMessage(child);
      child.send(order);
      return ended;
    },
  });
}

const dataset = syntheticDigits({ seed: 1, trainCount: 2 * Math.max(...flags.batches), testCount: 10 });
const prepared = await prepareJob(dataset, { batchSize: 128, epochs: 1, seed: 1 });
const layout = layoutOf(prepared.job.layout);
const host = network === null ? '127.0.0.1' : COORDINATOR_ADDRESS;
console.log(
  network === null
    ? "Links are shaped by the workers' own transport: network namespaces are not allowed here. The coordinator's is not."
    : "Rates: tc tbf in network namespaces; delays: the workers' transport.",
);
console.log(
  `${flags.perSample} ms a sample; the tail of a gradient is there after ${flags.tailAt} of its computation; ms a step, medians`,
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
          firstBucketAt: flags.tailAt,
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
/** What `gradcast plan` says of a step. */
function predictStepMs(codec: string, link: LinkShape, batchSize: number, count: number): number {
  const settings = {
    workers: count,
    batchSize,
    rate: link.bitsPerSecond,
    coordinatorRate: coordinatorRate(link),
    delayMs: link.delayMs,
    msPerSample: flags.perSample,
    gradientReadyAt: flags.tailAt,
    parameterCount: layout.length,
    kernel: factoredKernel(layout),
    sampleBytes: 784,
  };
  const codecs = LINK_CODECS[codec];
  return (codecs === undefined ? planWithBestCodecs(settings) : planRun(settings, codecs)).stepMs;
}

if (flags.ddp === true) await compareWithDdp();
process.exit(0);

/** 4 workers at batch 128: PyTorch's steps, then ours, by turns; PyTorch's have no delay, since the links have none. */
async function compareWithDdp(): Promise<void> {
  const [RANKS, BATCH, STEPS, TURNS] = [4, 128, 6, 2];
  if (network === null || maxWorkers < RANKS)
    throw new Error('--ddp needs network namespaces and at least 4 workers.');
  const report = streamReport(process.stderr, () => performance.now());
  const python = await preparePython(TORCH, report, new AbortController().signal);
  for (const link of LINKS.filter(({ name }) => flags.links.includes(name))) {
    network.shape(link, coordinatorRate(link));
    const [theirs, ours]: [number[], number[]] = [[], []];
    for (let turn = 0; turn < TURNS; turn++) {
      const times = await runDdp({
        python,
        address: addresses[0] ?? '',
        tailAt: flags.tailAt,
        steps: STEPS,
        pids: children.slice(0, RANKS).map(({ pid }) => pid ?? 0),
        computeMs: (flags.perSample * BATCH) / RANKS,
      });
      theirs.push(median(times));
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
        firstBucketAt: flags.tailAt,
        verbose: false,
      });
      ours.push(cell.stepMs);
    }
    const ratio = median(ours.map((ms, i) => ms / (theirs[i] ?? NaN)));
    console.log(
      `${link.name}, ${RANKS} workers, batch ${BATCH}: PyTorch DDP over gloo ${median(theirs).toFixed(0)} ms a step (without the delay), ` +
        `gradcast ${median(ours).toFixed(0)} ms (with it): ratio ${ratio.toFixed(2)}`,
    );
  }
}
