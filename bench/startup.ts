// Measures the start of a worker with WebAssembly: a process of `gradcast worker` from its start to its first gradient of the default
// CNN, and the thread of its engine alone, beside Node without a program. Time, and what all threads of the process computed
// (Linux). Arguments: [starts = 15] [batch = 64]
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { killOnExit } from './support/children.ts';
import { startInProcessCoordinator } from './support/in-process-coordinator.ts';
import { median, spread } from './support/statistics.ts';

const [, , startsText = '15', batchText = '64'] = process.argv;
const starts = Number(startsText);
const folder = dirname(process.argv[1] ?? '');

/** Kernel's unit of a process' computing time, 1/100 s on Linux. */
const TICK_MS = 10;

/** Milliseconds that a process has computed, in all its threads; NaN where there is no /proc. */
function computedMs(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return TICK_MS * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return NaN;
  }
}

/** Times of a start's parts, each from the end of the part before. */
class Parts {
  readonly #wallMs = new Map<string, number[]>();
  readonly #cpuMs = new Map<string, number[]>();

  /** Ends a part. @param start time and computing at the end of the part before */
  add(part: string, wallMs: number, cpuMs: number): void {
    this.#wallMs.set(part, [...(this.#wallMs.get(part) ?? []), wallMs]);
    this.#cpuMs.set(part, [...(this.#cpuMs.get(part) ?? []), cpuMs]);
  }

  print(title: string): void {
    console.log(title);
    for (const [part, wallMs] of this.#wallMs) {
      const cpuMs = this.#cpuMs.get(part) ?? [];
      console.log(
        `  ${part.padEnd(34)} ${spread(wallMs, 0).padStart(20)} ms, computing ${median(cpuMs).toFixed(0)} ms`,
      );
    }
  }
}

/** Node without a program. */
async function startNode(parts: Parts): Promise<void> {
  const startedMs = performance.now();
  const child = killOnExit(
    spawn(process.execPath, ['-e', 'process.send(0)'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  );
  await once(child, 'message');
  parts.add('Node', performance.now() - startedMs, computedMs(child.pid));
  await ended(child);
}

/** A process of `gradcast worker`, from its start to its first gradient. */
async function startWorker(
  parts: Parts,
  run: Awaited<ReturnType<typeof startInProcessCoordinator>>,
): Promise<void> {
  const startedMs = performance.now();
  const program = join(folder, '../../bin/gradcast.js');
  const child = killOnExit(
    spawn(process.execPath, [program, 'worker', run.url, '--workers', '1', '--engine', 'wasm', '--quiet'], {
      stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, GRADCAST_LEASH: 'stdin', GRADCAST_SIBLING: '1' },
    }),
  );
  const marks = new Map<string, readonly [wallMs: number, cpuMs: number]>();
  const steps: Promise<unknown>[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`The worker has ended (${code ?? 'killed'}).`)));
    child.on('message', ({ type }: { type: string }) => {
      marks.set(type, [performance.now() - startedMs, computedMs(child.pid)]);
      if (type === 'joined') steps.push(run.allWorkersReady().then(run.gradient));
      if (type === 'computed') resolve();
    });
  });
  await Promise.all(steps);
  const [engine, joined, computed] = ['engine', 'joined', 'computed'].map(
    (type) => marks.get(type) ?? [NaN, NaN],
  );
  const names = ['engine open', 'joined, model built', 'first gradient'];
  let last = [0, 0];
  for (const [i, mark] of [engine, joined, computed].entries()) {
    parts.add(names[i] ?? '', (mark?.[0] ?? NaN) - (last[0] ?? NaN), (mark?.[1] ?? NaN) - (last[1] ?? NaN));
    last = [...(mark ?? [])];
  }
  parts.add('from start to first gradient', last[0] ?? NaN, last[1] ?? NaN);
  child.stdin?.end();
  await ended(child);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

console.log(
  `${availableParallelism()} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}`,
);
const run = await startInProcessCoordinator({ workers: 1, batch: Number(batchText), maxWorkers: 2 });
const node = new Parts();
const worker = new Parts();
for (let start = 0; start <= starts; start++) {
  // The first start reads files into the memory.
  const isWarm = start > 0;
  await startNode(isWarm ? node : new Parts());
  await startWorker(isWarm ? worker : new Parts(), run);
}
node.print('A process of Node without a program');
worker.print(`A worker's process, its first gradient of the default CNN of ${batchText} samples`);
process.exit();
