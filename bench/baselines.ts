// Compares a training step of the default CNN in gradcast with Keras, PyTorch and stock tfjs-node: in one run, in alternating
// blocks, on the same cores. The Python baselines get virtual environments in this user's cache. On a machine with more than
// two cores, `taskset -c 0,1 npm run bench -- baselines` limits all of them to two.
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { Command } from 'commander';
import { integer } from '../cli/options.ts';
import { streamReport } from '../worker-node/engine/install/progress.ts';
import { BASELINES, startBaselines, type Baseline, type BaselineName } from './support/baselines.ts';
import { median, spread } from './support/statistics.ts';
import { execFileSync } from 'node:child_process';

/** Requirements: the first baseline's step takes at most this many times the second one's. */
const BOUNDS: readonly [BaselineName, BaselineName, number][] = [
  ['captured', 'keras', 0.9],
  ['captured', 'stock', 0.45],
  ['native-2', 'ddp', 0.75],
  ['native-2', 'keras', 1.15],
];
/** First steps of a block that are not counted: the caches are cold after another baseline's turn. */
const WARM_UP = 8;
/** Steps before the first block, in which graphs are captured and the partition settles. */
const FIRST_STEPS = 12;
/** Steps of an epoch of MNIST at batch 128: 468, and a short one. */
const EPOCH_STEPS = 469;

interface Flags {
  readonly rounds: number;
  readonly block: number;
  readonly batch: number;
  readonly without: string;
  readonly python?: string;
}

const names = Object.keys(BASELINES).join(', ');
const flags = new Command('npm run bench -- baselines')
  .description('Compares training steps of gradcast with other frameworks, in alternating blocks.')
  .option('--rounds <n>', 'blocks of each baseline', integer(1), 5)
  .option('--block <n>', `steps of a block; the first ${WARM_UP} are not counted`, integer(WARM_UP + 1), 40)
  .option('--batch <n>', 'samples per step', integer(2), 128)
  .option('--without <names>', `baselines to leave out, separated by commas: ${names}`, '')
  .option('--python <path>', 'a Python with Keras and PyTorch, instead of environments of its own')
  .parse()
  .opts<Flags>();
const without = flags.without.split(',').filter((name) => name !== '');
const unknown = without.filter((name) => !(name in BASELINES));
if (unknown.length > 0) {
  console.error(`gradcast: unknown baselines: ${unknown.join(', ')}. Baselines: ${names}.`);
  process.exit(1);
}

const stop = new AbortController();
process.once('SIGINT', () => {
  stop.abort();
  process.exit(130);
});
const baselines = await startBaselines({
  batch: flags.batch,
  without: new Set(without),
  python: flags.python,
  report: streamReport(process.stderr, () => performance.now()),
  signal: stop.signal,
});

/** Milliseconds of the steps of each block, by baseline. */
const turns = new Map<BaselineName, number[][]>(baselines.map(({ name }) => [name, []]));
for (const each of baselines) {
  await each.run(FIRST_STEPS);
  // Graphs are captured while no step runs.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await each.run(FIRST_STEPS);
}
/** Processor time of a step in each block, by baseline. */
const cpuMs = new Map<BaselineName, number[]>(baselines.map(({ name }) => [name, []]));
for (let round = 0; round < flags.rounds; round++) {
  process.stderr.write(`Round ${round + 1} of ${flags.rounds}\n`);
  for (const { name, pid, run } of baselines) {
    const before = processorMs(pid);
    turns.get(name)?.push((await run(flags.block)).slice(WARM_UP));
    cpuMs.get(name)?.push((processorMs(pid) - before) / flags.block);
  }
}

printRatios();
printSteps();
printMemory(baselines);
for (const { close } of baselines) close();

function printRatios(): void {
  const pairs: readonly [BaselineName, BaselineName, number?][] = [
    ...BOUNDS,
    ['native-2', 'torch'],
    ['native-2', 'captured'],
    ['native-1', 'captured'],
    ['wasm-2', 'native-2'],
    ['wasm-2', 'keras'],
    ['wasm-threads', 'wasm-2'],
  ];
  console.log('\nRatios: median over the blocks of (median step of the first / median step of the second)');
  for (const [one, other, bound] of pairs) {
    const a = turns.get(one);
    const b = turns.get(other);
    if (a === undefined || b === undefined) continue;
    const ratios = a.map((times, i) => median(times) / median(b[i] ?? []));
    const requirement =
      bound === undefined ? '' : `, required at most ${bound}: ${median(ratios) <= bound ? 'met' : 'missed'}`;
    console.log(`${spread(ratios, 2)}${requirement}: ${BASELINES[one]} / ${BASELINES[other]}`);
  }
}

function printSteps(): void {
  const cores = availableParallelism();
  console.log(
    `\nms per step, batch ${flags.batch}, ${cores} cores (${cpus()[0]?.model.trim() ?? ''}): ` +
      `median, first and ninth decile of ${flags.rounds * (flags.block - WARM_UP)} steps; ` +
      `and an extrapolated epoch of ${EPOCH_STEPS} steps at that median, without its evaluation`,
  );
  for (const { name, versions } of baselines) {
    const times = turns.get(name)?.flat() ?? [];
    const epochS = (median(times) * EPOCH_STEPS) / 1000;
    const of = Object.entries(versions)
      .map(([what, version]) => `${what} ${version}`)
      .join(', ');
    const cpu = median(cpuMs.get(name) ?? []).toFixed(1);
    console.log(
      `${BASELINES[name]}: ${spread(times)} ms, ${epochS.toFixed(1)} s per epoch, ${cpu} ms of processor time (${of})`,
    );
  }
}

/** Prints memory. The first process of a distributed run is the coordinator; of its workers, the largest and the sum are printed. */
function printMemory(of: readonly Baseline[]): void {
  console.log('\nResident memory, MB');
  for (const { name, pid } of of) {
    const [own = NaN, ...others] = residentMemoryMb(pid);
    const largest =
      others.length === 0
        ? ''
        : `, the largest of its other processes ${Math.max(...others).toFixed(0)}, all of them ${others.reduce((sum, mb) => sum + mb, 0).toFixed(0)}`;
    const distributed = /-([12]|threads)$/.test(name);
    console.log(
      `${BASELINES[name]}: ${distributed ? 'coordinator' : 'process'} ${own.toFixed(0)}` +
        (distributed ? largest.replace('of its other processes', 'worker') : largest),
    );
  }
}

/** Processor time of a process and its descendants, which other programs on the machine change less; NaN where there is no /proc. */
function processorMs(pid: number): number {
  const TICK_MS = 10;
  try {
    const times = processTree(pid).map(({ id }) => {
      // The name of the program, in parentheses, may have spaces.
      const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return Number(fields[11]) + Number(fields[12]);
    });
    return TICK_MS * times.reduce((sum, ticks) => sum + ticks, 0);
  } catch {
    return NaN;
  }
}

/** Resident memory of a process and its descendants, in MB, the process itself first. */
export function residentMemoryMb(pid: number): number[] {
  return processTree(pid).map(({ mb }) => mb);
}

/** A process and its descendants, the process itself first; none if there is no `ps`. */
function processTree(pid: number): { readonly id: number; readonly mb: number }[] {
  let text: string;
  try {
    text = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,rss='], { encoding: 'utf8' });
  } catch {
    return [];
  }
  const rows = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number]);
  const under = (parent: number): { id: number; mb: number }[] =>
    rows
      .filter(([id, of]) => of === parent && id !== process.pid)
      .flatMap(([id, , rss]) => [{ id, mb: rss / 1024 }, ...under(id)]);
  return [...rows.filter(([id]) => id === pid).map(([id, , rss]) => ({ id, mb: rss / 1024 })), ...under(pid)];
}
