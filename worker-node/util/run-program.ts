import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly onLine?: (line: string) => void;
  /** How long a program that is told to end may take. */
  readonly killAfterMs?: number;
}

export interface ProgramResult {
  /** The exit code; null if a signal ended it or it could not be started. */
  readonly code: number | null;
  /** What it said on both streams, the last lines. */
  readonly lines: readonly string[];
}

const MAX_LINES = 200;
const KILL_AFTER_MS = 5_000;

/** Runs a program to its end. Never throws for what the program does; throws if `signal` is aborted. */
export async function runProgram(
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env, signal, onLine, killAfterMs = KILL_AFTER_MS }: RunOptions,
): Promise<ProgramResult> {
  signal.throwIfAborted();
  const lines: string[] = [];
  const keep = (line: string): void => {
    lines.push(line);
    if (lines.length > MAX_LINES) lines.shift();
    onLine?.(line);
  };
  const code = await new Promise<number | null>((resolve) => {
    // A group of its own, so that a whole tree of compilers can be ended with it.
    const grouped = process.platform !== 'win32';
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: grouped,
      ...(cwd === undefined ? {} : { cwd }),
      env: env ?? process.env,
    });
    const end = (how: NodeJS.Signals): void => {
      if (grouped && child.pid !== undefined) killGroup(child.pid, how);
      else child.kill(how);
    };
    let kill: NodeJS.Timeout | undefined;
    const stop = (): void => {
      end('SIGTERM');
      kill = setTimeout(() => end('SIGKILL'), killAfterMs);
    };
    signal.addEventListener('abort', stop);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', keep);
    }
    const settle = (result: number | null): void => {
      clearTimeout(kill);
      signal.removeEventListener('abort', stop);
      resolve(result);
    };
    child.once('error', (error) => {
      keep(error.message);
      settle(null);
    });
    child.once('close', (exitCode) => settle(exitCode));
  });
  signal.throwIfAborted();
  return { code, lines };
}

/** The last lines that say something, for a person to see what went wrong. */
export function summarizeFailure({ code, lines }: ProgramResult): string {
  const said = lines.filter((line) => !/^\s*(at |\^|throw |Emitted |Node\.js v|$)/.test(line));
  const telling = said.filter((line) => /error|not found|cannot|could not|no space|denied/i.test(line));
  const words = (telling.length > 0 ? telling : said).slice(-3);
  return words.length === 0
    ? `ended with code ${code ?? 'none'}`
    : words
        .map((w) => w.trim())
        .join(' / ')
        .slice(0, 400);
}

function killGroup(pid: number, how: NodeJS.Signals): void {
  try {
    process.kill(-pid, how);
  } catch {
    // It has ended by itself.
  }
}
