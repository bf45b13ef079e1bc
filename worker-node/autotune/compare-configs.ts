import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { START, parseStepTime, type StepTime } from './step-time-lines.ts';

/** Number of worker processes, and the threads and samples of a step of each. */
export interface Config {
  readonly processes: number;
  readonly threads: number;
  readonly batch: number;
}

/** Milliseconds of a step of two configs; a GPU is not compared. */
export type Comparison =
  { readonly gpu: true } | { readonly gpu: false; readonly stepMs: readonly [number, number] };

/** Configs run in turn, under the same conditions; the best time is the least disturbed one. */
const ROUNDS = 3;

/**
 * Measures two configs in turn; the processes of a config compute at the same time. Native engines are measured alone; WebAssembly
 * workers in a run, since what threads save is outside of the engine.
 * @param command runs gradcast
 * @throws Error if a process fails
 */
export async function compareConfigs(
  one: Config,
  other: Config,
  command: readonly [string, ...string[]],
  signal: AbortSignal,
  engine: 'native' | 'wasm' = 'native',
): Promise<Comparison> {
  const open: BenchmarkProcess[] = [];
  const start = async (config: Config): Promise<{ gpu: boolean; step: () => Promise<number> }> => {
    const isRun = engine === 'wasm';
    const args = isRun ? runArguments(config) : ['--batch', String(config.batch)];
    const processes = Array.from({ length: isRun ? 1 : config.processes }, () =>
      startBenchmarkProcess(config, [...command, 'engine', 'pace', ...args], signal),
    );
    open.push(...processes);
    const ready = await Promise.all(processes.map(({ next }) => next()));
    const step = async (): Promise<number> => {
      for (const { start } of processes) start();
      const times = await Promise.all(processes.map(({ next }) => next()));
      return Math.max(...times.map(({ stepMs }) => stepMs ?? NaN));
    };
    return { gpu: ready.some(({ gpu }) => gpu), step };
  };
  try {
    const first = await start(one);
    if (first.gpu) return { gpu: true };
    const second = await start(other);
    const best: [number, number] = [Infinity, Infinity];
    for (let round = 0; round < ROUNDS; round++) {
      best[0] = Math.min(best[0], await first.step());
      best[1] = Math.min(best[1], await second.step());
    }
    return { gpu: false, stepMs: best };
  } finally {
    for (const { stop } of open) stop();
  }
}

/** A run has its workers in processes of its own. */
const runArguments = ({ processes, threads, batch }: Config): string[] =>
  ['--workers', processes, '--threads', threads, '--batch', processes * batch].map(String);

interface BenchmarkProcess {
  /** Waits for the next line; rejects if the process ends. */
  readonly next: () => Promise<StepTime>;
  readonly start: () => void;
  readonly stop: () => void;
}

function startBenchmarkProcess(
  { threads }: Config,
  [program, ...args]: readonly [string, ...string[]],
  signal: AbortSignal,
): BenchmarkProcess {
  const child: ChildProcess = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads) },
    signal,
  });
  const received: StepTime[] = [];
  let ended: Error | null = null;
  let wake = (): void => undefined;
  const end = (error: Error): void => {
    ended ??= error;
    wake();
  };
  child.once('error', end);
  child.once('close', (code) => end(new Error(`a measuring process ended (${code ?? 'killed'})`)));
  child.stdin?.on('error', () => undefined);
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const time = parseStepTime(line);
      if (time === null) return;
      received.push(time);
      wake();
    });
  }
  return {
    next: () =>
      new Promise((resolve, reject) => {
        wake = () => {
          const time = received.shift();
          if (time !== undefined) resolve(time);
          else if (ended !== null) reject(ended);
        };
        wake();
      }),
    start: () => void child.stdin?.write(`${START}\n`),
    stop: () => void child.kill('SIGKILL'),
  };
}
