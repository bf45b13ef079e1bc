import { spawn, type ChildProcess } from 'node:child_process';
import type { MachineReport } from './machine-report.ts';
import { parseWorkerProcessMessage, type WorkerProcessMessage } from './messages.ts';
import { ExitCode } from '../../shared/util/exit-codes.ts';

/** One of several worker processes. */
export interface WorkerSpec {
  readonly name: string;
  /** Variables that only this worker's environment has. */
  readonly env: NodeJS.ProcessEnv;
}

export interface ProcessGroupOptions {
  readonly workers: readonly WorkerSpec[];
  /** Program and arguments of a worker, without its name. */
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
  /** Receives all messages of workers. */
  readonly report?: Pick<MachineReport, 'record'>;
  /** Called for each message of a worker, after the report. */
  readonly onMessage?: (message: WorkerProcessMessage, worker: WorkerSpec) => void;
}

const RESTARTED_EXIT_CODES: ReadonlySet<number | null> = new Set([
  null,
  ExitCode.engineDied,
  ExitCode.workerTerminated,
]);

/** Run time below which a worker counts as crashed at its start. */
const EARLY_EXIT_MS = 10_000;
const MAX_RESTARTS = 3;
const STOP_GRACE_MS = 3_000;

/**
 * Runs workers, each in a process of its own, until all have ended. A worker that is killed or loses its engine is restarted,
 * but not forever if it crashes at its start. When one worker learns that the run is over, all others are ended: they may
 * have no connection.
 * @returns 0 if the run is over, 130 if the signal stopped the workers before; the exit code of the last that failed
 */
export async function runProcesses(options: ProcessGroupOptions): Promise<number> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const codes = await Promise.all(
    options.workers.map(async (worker) => {
      const code = await superviseProcess({ ...options, signal }, worker);
      if (code === ExitCode.done) over.abort();
      return code;
    }),
  );
  const failed = codes.findLast((code) => code !== ExitCode.done && code !== ExitCode.interrupted);
  return failed ?? (over.signal.aborted ? ExitCode.done : ExitCode.interrupted);
}

async function superviseProcess(options: ProcessGroupOptions, worker: WorkerSpec): Promise<number> {
  const { name } = worker;
  let restarts = MAX_RESTARTS;
  // Read each time: it changes while a process runs.
  const isStopping = (): boolean => options.signal.aborted;
  for (;;) {
    if (isStopping()) return ExitCode.interrupted;
    const startedAtMs = performance.now();
    const { code, signal } = await runOnce(options, worker);
    if (!RESTARTED_EXIT_CODES.has(code)) return code ?? 1;
    if (isStopping()) return ExitCode.interrupted;
    restarts = performance.now() - startedAtMs < EARLY_EXIT_MS ? restarts - 1 : MAX_RESTARTS;
    const ending = `${name} ${describeExit(code, signal)}`;
    if (restarts < 0) {
      options.note(`${ending} for the ${MAX_RESTARTS + 1}th time within seconds; not restarted.`);
      return 1;
    }
    const attempt = restarts < MAX_RESTARTS ? ` (${MAX_RESTARTS - restarts} of ${MAX_RESTARTS})` : '';
    options.note(`${ending}; restarting${attempt}.`);
  }
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  if (code === ExitCode.engineDied) return 'lost its engine';
  if (code === ExitCode.workerTerminated) return 'was terminated';
  return signal === 'SIGKILL' ? 'was killed (signal SIGKILL)' : `crashed (signal ${signal ?? 'unknown'})`;
}

interface ProcessExit {
  /** Null if a signal ended the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function runOnce(
  { command, env, signal, note, report, onMessage }: ProcessGroupOptions,
  worker: WorkerSpec,
): Promise<ProcessExit> {
  return new Promise((resolve) => {
    const [program, ...args] = command;
    // stdin is the parent pipe: it closes when this process ends, even if it is killed.
    const child = spawn(program, [...args, '--name', worker.name], {
      stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
      env: { ...env, ...worker.env, GRADCAST_LEASH: 'stdin' },
    });
    child.stdin?.on('error', () => undefined);
    child.on('message', (received) => {
      const message = parseWorkerProcessMessage(received);
      if (message === null) return;
      report?.record(worker.name, message);
      onMessage?.(message, worker);
    });
    const stop = (): void => stopProcess(child);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const settle = (ended: ProcessExit): void => {
      signal.removeEventListener('abort', stop);
      resolve(ended);
    };
    child.once('error', (error) => {
      note(`${worker.name} could not be started: ${error.message}`);
      settle({ code: 1, signal: null });
    });
    child.once('exit', (code, endedBy) => settle({ code, signal: endedBy }));
  });
}

/** Closes the parent pipe, on which a worker leaves; kills a worker that does not. */
function stopProcess(child: ChildProcess): void {
  child.stdin?.end();
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  child.once('exit', () => clearTimeout(kill));
}
