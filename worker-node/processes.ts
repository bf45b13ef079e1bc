import { spawn, type ChildProcess } from 'node:child_process';
import type { MachineReport } from './machine-report.ts';
import { parseSiblingMessage, type SiblingMessage } from './sibling-messages.ts';

/** One of several workers: what it is called, and what its environment has more than the others'. */
export interface WorkerSpec {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface ProcessesOptions {
  readonly workers: readonly WorkerSpec[];
  /** The program and arguments of one worker, without its name. */
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
  /** Hears all that workers tell this process. */
  readonly report?: Pick<MachineReport, 'heard'>;
  /** Called with what a worker tells this process, beside the report. */
  readonly onMessage?: (message: SiblingMessage, worker: WorkerSpec) => void;
}

/** How a worker among several ends whose engine has died; it is started again, as if it had been killed. */
export const ENGINE_DIED = 86;
/** How a worker among several ends that was asked to leave by somebody else than whoever started it: as if killed, too. */
export const ASKED_TO_LEAVE = 87;
const RESTARTED: ReadonlySet<number | null> = new Set([null, ENGINE_DIED, ASKED_TO_LEAVE]);

/** A worker that ends sooner than this has not got as far as to work. */
const EARLY_MS = 10_000;
const RESTARTS = 3;
const STOP_GRACE_MS = 3_000;

/**
 * Several workers, each in a process of its own, until all have ended. One that is killed, or whose engine has died, is
 * started again, but not for ever if it dies at once. When one is told that the run is over, so are the others, which may
 * not have got through yet.
 * @returns 0 if all ended well, else the exit code of the last that did not
 */
export async function runProcesses(options: ProcessesOptions): Promise<number> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const codes = await Promise.all(
    options.workers.map(async (worker) => {
      const code = await keepRunning({ ...options, signal }, worker);
      if (code === 0) over.abort();
      return code;
    }),
  );
  return codes.findLast((code) => code !== 0) ?? 0;
}

async function keepRunning(options: ProcessesOptions, worker: WorkerSpec): Promise<number> {
  const { name } = worker;
  let restarts = RESTARTS;
  // Read anew each time: it changes while a process is waited for.
  const stopping = (): boolean => options.signal.aborted;
  for (;;) {
    if (stopping()) return 0;
    const startedAtMs = performance.now();
    const { code, signal } = await runOnce(options, worker);
    if (!RESTARTED.has(code)) return code ?? 1;
    if (stopping()) return 0;
    restarts = performance.now() - startedAtMs < EARLY_MS ? restarts - 1 : RESTARTS;
    const ending = `${name} ${endingOf(code, signal)}`;
    if (restarts < 0) {
      options.note(`${ending} for the ${RESTARTS + 1}th time within seconds; not restarted.`);
      return 1;
    }
    const attempt = restarts < RESTARTS ? ` (${RESTARTS - restarts} of ${RESTARTS})` : '';
    options.note(`${ending}; restarting${attempt}.`);
  }
}

function endingOf(code: number | null, signal: NodeJS.Signals | null): string {
  if (code === ENGINE_DIED) return 'lost its engine';
  if (code === ASKED_TO_LEAVE) return 'was asked to leave';
  return signal === 'SIGKILL' ? 'was killed (signal SIGKILL)' : `crashed (signal ${signal ?? 'unknown'})`;
}

interface Ended {
  /** Null if a signal ended the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function runOnce(
  { command, env, signal, note, report, onMessage }: ProcessesOptions,
  worker: WorkerSpec,
): Promise<Ended> {
  return new Promise((resolve) => {
    const [program, ...args] = command;
    // stdin is a leash: it closes when this process dies, however it dies.
    const child = spawn(program, [...args, '--name', worker.name], {
      stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
      env: { ...env, ...worker.env, GRADCAST_LEASH: 'stdin' },
    });
    child.stdin?.on('error', () => undefined);
    child.on('message', (received) => {
      const message = parseSiblingMessage(received);
      if (message === null) return;
      report?.heard(worker.name, message);
      onMessage?.(message, worker);
    });
    const stop = (): void => endProcess(child);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const settle = (ended: Ended): void => {
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
function endProcess(child: ChildProcess): void {
  child.stdin?.end();
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  child.once('exit', () => clearTimeout(kill));
}
