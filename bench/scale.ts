// Measures one coordinator with many workers that compute nothing, each over a WebSocket of its own: CPU, memory and bytes of the
// coordinator's process, which has the optimizer too, and the time in which all workers join. Vectors are split into buckets, as for
// workers on other machines.
import { once } from 'node:events';
import { Command } from 'commander';
import { integer } from '../cli/options.ts';
import { forkEntry, nextMessage } from './support/children.ts';
import type { ScaleCase, ScaleResult } from './support/scale-coordinator.ts';

interface Flags {
  readonly workers: readonly number[];
  readonly models: string;
  readonly codec: string;
  readonly samples: number;
  readonly steps: number;
  readonly perProcess: number;
  readonly profile?: string;
}

const flags = new Command('npm run bench -- scale')
  .description('Measures one coordinator with many workers that compute nothing.')
  .option(
    '--workers <list>',
    'numbers of workers',
    (text: string) => text.split(',').map(Number),
    [1, 16, 64, 256],
  )
  .option('--models <names>', 'default, small', 'default,small')
  .option('--codec <name>', 'codecs of all links', 'float32')
  .option('--samples <n>', 'samples of a step per worker; a batch has at least 128', integer(1, 1024), 8)
  .option('--steps <n>', 'measured steps', integer(1, 10_000), 20)
  .option('--per-process <n>', 'workers of a process', integer(1, 1_024), 64)
  .option('--profile <folder>', 'write CPU profiles of the coordinator to this folder')
  .parse()
  .opts<Flags>();

const GIGABIT_BYTES = 125e6;

async function measure(scaleCase: ScaleCase): Promise<ScaleResult> {
  const { profile } = flags;
  const coordinator = forkEntry(
    'scale-coordinator',
    [JSON.stringify(scaleCase)],
    profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
  );
  const url = await nextMessage<string>(coordinator);
  const result = nextMessage<ScaleResult>(coordinator);
  const ended = once(coordinator, 'exit');
  const children = [];
  for (let left = scaleCase.workers; left > 0; left -= flags.perProcess)
    children.push(forkEntry('null-worker', [url, String(Math.min(left, flags.perProcess))]));
  try {
    return await result;
  } finally {
    // A profile is written at the end.
    await ended;
    for (const child of children) child.kill();
  }
}

/** Resource that a coordinator with these figures runs out of first, with one thread and 1 Gb/s in each direction. */
function limitOf({ cpuMs, downBytes, upBytes }: ScaleResult): string {
  const linkMs = (1000 * Math.max(downBytes, upBytes)) / GIGABIT_BYTES;
  return linkMs > cpuMs ? `bytes: ${linkMs.toFixed(0)} ms at 1 Gb/s` : 'CPU';
}

const columns = [
  'model',
  'workers',
  'all joined, s',
  'steps a second',
  'CPU a step, ms',
  'a worker, ms',
  'heap and buffers a worker at rest, KB',
  'resident at rest (most), MB',
  'bytes a worker and step, down and up, KB',
  'limit',
];
console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => ' --- |').join('')}`);
for (const model of flags.models.split(',')) {
  let first: (ScaleResult & Pick<ScaleCase, 'workers'>) | null = null;
  for (const workers of flags.workers) {
    const result = await measure({
      workers,
      model: model as ScaleCase['model'],
      samplesPerWorker: flags.samples,
      codec: flags.codec,
      steps: flags.steps,
    });
    const { joinMs, stepMs, cpuMs, residentBytes, maxResidentBytes, downBytes, upBytes } = result;
    const memory = ({ heapBytes, bufferBytes }: ScaleResult): number => heapBytes + bufferBytes;
    const perWorker = first === null ? null : (memory(result) - memory(first)) / (workers - first.workers);
    first ??= { ...result, workers };
    const cells = [
      model,
      workers,
      (joinMs / 1000).toFixed(1),
      (1000 / stepMs).toFixed(1),
      cpuMs.toFixed(1),
      (cpuMs / workers).toFixed(2),
      perWorker === null ? '' : (perWorker / 1024).toFixed(0),
      `${(residentBytes / 2 ** 20).toFixed(0)} (${(maxResidentBytes / 2 ** 20).toFixed(0)})`,
      `${(downBytes / workers / 1024).toFixed(0)}, ${(upBytes / workers / 1024).toFixed(0)}`,
      limitOf(result),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
process.exit(0);
