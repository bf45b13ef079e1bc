import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly onLine?: (line: string) => void;
  /** Time that a program has to end before it is killed. */
  readonly killAfterMs?: number;
}

export interface ProgramResult {
  /** Exit code; null if a signal ended the program or it could not be started. */
  readonly code: number | null;
  /** Last lines of both streams. */
  readonly lines: readonly string[];
}

const MAX_LINES = 200;
const KILL_AFTER_MS = 5_000;

/** Runs a program to its end. Throws only if `signal` is aborted. */
export async function runProgram(
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env, signal, onLine, killAfterMs = KILL_AFTER_MS }: RunOptions,
): Promise<ProgramResult> {
  signal.throwIfAborted();
  const lines: string[] = [];
  const record = (line: string): void => {
    lines.push(line);
    if (lines.length > MAX_LINES) lines.shift();
    onLine?.(line);
  };
  const code = await new Promise<number | null>((resolve) => {
    // In a process group of its own, so that its compilers can be ended with it.
    const grouped = process.platform !== 'win32';
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: grouped,
      ...(cwd === undefined ? {} : { cwd }),
      env: env ?? process.env,
    });
    const end = (signal: NodeJS.Signals): void => {
      if (grouped && child.pid !== undefined) killGroup(child.pid, signal);
      else child.kill(signal);
    };
    let kill: NodeJS.Timeout | undefined;
    const stop = (): void => {
      end('SIGTERM');
      kill = setTimeout(() => end('SIGKILL'), killAfterMs);
    };
    signal.addEventListener('abort', stop);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', record);
    }
    const settle = (result: number | null): void => {
      clearTimeout(kill);
      signal.removeEventListener('abort', stop);
      resolve(result);
    };
    child.once('error', (error) => {
      record(error.message);
      settle(null);
    });
    child.once('close', (exitCode) => settle(exitCode));
  });
  signal.throwIfAborted();
  return { code, lines };
}

/** Summarizes the error of a program from its last lines. */
export function summarizeFailure({ code, lines }: ProgramResult): string {
  const messages = lines.filter((line) => !/^\s*(at |\^|throw |Emitted |Node\.js v|$)/.test(line));
  const errors = messages.filter((line) => /error|not found|cannot|could not|no space|denied/i.test(line));
  const summary = (errors.length > 0 ? errors : messages).slice(-3);
  return summary.length === 0
    ? `ended with code ${code ?? 'none'}`
    : summary
        .map((line) => line.trim())
        .join(' / ')
        .slice(0, 400);
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended by itself.
  }
}
