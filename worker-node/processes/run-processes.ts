import { spawn, type ChildProcess } from 'node:child_process';
import type { MachineReport } from './machine-report.ts';
import { parseWorkerProcessMessage, type WorkerProcessMessage } from './messages.ts';

/** One of several workers: what it is called, and what its environment has more than the others'. */
export interface WorkerSpec {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface ProcessGroupOptions {
  readonly workers: readonly WorkerSpec[];
  /** The program and arguments of one worker, without its name. */
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
  /** Hears all that workers tell this process. */
  readonly report?: Pick<MachineReport, 'record'>;
  /** Called with what a worker tells this process, beside the report. */
  readonly onMessage?: (message: WorkerProcessMessage, worker: WorkerSpec) => void;
}

/** How a worker among several ends whose engine has died; it is started again, as if it had been killed. */
export const EXIT_ENGINE_DIED = 86;
/** How a worker among several ends that was asked to leave by somebody else than whoever started it: as if killed, too. */
export const EXIT_TERMINATED = 87;
const RESTARTED_EXIT_CODES: ReadonlySet<number | null> = new Set([null, EXIT_ENGINE_DIED, EXIT_TERMINATED]);

/** A worker that ends sooner than this has not got as far as to work. */
const EARLY_EXIT_MS = 10_000;
const MAX_RESTARTS = 3;
const STOP_GRACE_MS = 3_000;

/**
 * Several workers, each in a process of its own, until all have ended. One that is killed, or whose engine has died, is
 * started again, but not for ever if it dies at once. When one is told that the run is over, so are the others, which may
 * not have got through yet.
 * @returns 0 if all ended well, else the exit code of the last that did not
 */
export async function runProcesses(options: ProcessGroupOptions): Promise<number> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const codes = await Promise.all(
    options.workers.map(async (worker) => {
      const code = await superviseProcess({ ...options, signal }, worker);
      if (code === 0) over.abort();
      return code;
    }),
  );
  return codes.findLast((code) => code !== 0) ?? 0;
}

async function superviseProcess(options: ProcessGroupOptions, worker: WorkerSpec): Promise<number> {
  const { name } = worker;
  let restarts = MAX_RESTARTS;
  // Read anew each time: it changes while a process is waited for.
  const stopping = (): boolean => options.signal.aborted;
  for (;;) {
    if (stopping()) return 0;
    const startedAtMs = performance.now();
    const { code, signal } = await runOnce(options, worker);
    if (!RESTARTED_EXIT_CODES.has(code)) return code ?? 1;
    if (stopping()) return 0;
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
  if (code === EXIT_ENGINE_DIED) return 'lost its engine';
  if (code === EXIT_TERMINATED) return 'was asked to leave';
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
    // stdin is a leash: it closes when this process dies, however it dies.
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

/** Asks a worker to leave by letting go of its leash; kills it if it does not. */
function stopProcess(child: ChildProcess): void {
  child.stdin?.end();
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  child.once('exit', () => clearTimeout(kill));
}
