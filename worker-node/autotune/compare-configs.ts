import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { START, parseStepTime, type StepTime } from './step-time-lines.ts';

/** So many processes, each with so many threads and so many samples a step. */
export interface Config {
  readonly processes: number;
  readonly threads: number;
  readonly batch: number;
}

/** Milliseconds of a step of each of two teams; or the engine computes on a GPU, where there is nothing to compare. */
export type Comparison =
  { readonly gpu: true } | { readonly gpu: false; readonly stepMs: readonly [number, number] };

/** In turn, so that both see the machine alike; the best of each is what others disturbed the least. */
const ROUNDS = 3;

/**
 * Lets two teams compute, each side by side with its own, in turn.
 * @param command runs gradcast
 * @throws Error if one of them cannot
 */
export async function compareConfigs(
  one: Config,
  other: Config,
  command: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<Comparison> {
  const open: BenchmarkProcess[] = [];
  const start = async (team: Config): Promise<{ gpu: boolean; step: () => Promise<number> }> => {
    const members = Array.from({ length: team.processes }, () =>
      startBenchmarkProcess(team, command, signal),
    );
    open.push(...members);
    const greetings = await Promise.all(members.map(({ next }) => next()));
    const step = async (): Promise<number> => {
      for (const { start } of members) start();
      const paces = await Promise.all(members.map(({ next }) => next()));
      return Math.max(...paces.map(({ stepMs }) => stepMs ?? NaN));
    };
    return { gpu: greetings.some(({ gpu }) => gpu), step };
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

interface BenchmarkProcess {
  /** What it says next; rejects if it ends before. */
  readonly next: () => Promise<StepTime>;
  readonly start: () => void;
  readonly stop: () => void;
}

function startBenchmarkProcess(
  { threads, batch }: Config,
  [program, ...args]: readonly [string, ...string[]],
  signal: AbortSignal,
): BenchmarkProcess {
  const child: ChildProcess = spawn(program, [...args, 'engine', 'pace', '--batch', String(batch)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads) },
    signal,
  });
  const said: StepTime[] = [];
  let ended: Error | null = null;
  let wake = (): void => undefined;
  const end = (error: Error): void => {
    ended ??= error;
    wake();
  };
  child.once('error', end);
  child.once('close', (code) => end(new Error(`a process of the measurement ended (${code ?? 'killed'})`)));
  child.stdin?.on('error', () => undefined);
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const pace = parseStepTime(line);
      if (pace === null) return;
      said.push(pace);
      wake();
    });
  }
  return {
    next: () =>
      new Promise((resolve, reject) => {
        wake = () => {
          const pace = said.shift();
          if (pace !== undefined) resolve(pace);
          else if (ended !== null) reject(ended);
        };
        wake();
      }),
    start: () => void child.stdin?.write(`${START}\n`),
    stop: () => void child.kill('SIGKILL'),
  };
}
