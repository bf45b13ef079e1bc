import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const gradcast = fileURLToPath(new URL('../../bin/gradcast.js', import.meta.url));

export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Output so far. */
  output(): string;
  /** Exit code, or the signal that ended the process. */
  readonly ended: Promise<number | string>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a real worker in a process of its own. Like the others, it ends with the test that starts it, at the latest. */
export function spawnWorker(url: string, ...options: string[]): WorkerProcess {
  return spawnGradcast(['worker', url, '--workers', '1', '--engine', 'wasm', ...options]);
}

/** Starts gradcast as a user does. */
export function spawnGradcast(args: readonly string[], env: NodeJS.ProcessEnv = process.env): WorkerProcess {
  return spawnProgram([process.execPath, gradcast, ...args], env);
}

export function spawnProgram(
  [program, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
): WorkerProcess {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  endWithTest(child);
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  return {
    child,
    output: () => output,
    ended: new Promise((resolve) => {
      child.once('close', (code, signal) => resolve(signal ?? code ?? -1));
    }),
    kill: (signal) => void child.kill(signal),
  };
}

/** Ends a process with the test that has started it, also one that fails; one that a hook has started, with this process. */
function endWithTest(child: ChildProcess): void {
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  child.once('close', () => process.off('exit', end));
  try {
    onTestFinished(end);
  } catch {
    // There is no test: a hook, or a benchmark.
  }
}

/** Resolves when the output of the process matches. @throws Error if the process ends before */
export function waitForOutput(process: WorkerProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = (): void => {
      if (pattern.test(process.output())) resolve();
    };
    process.child.stdout?.on('data', check);
    process.child.stderr?.on('data', check);
    void process.ended.then(() =>
      reject(new Error(`the process ended without printing ${String(pattern)}:\n${process.output()}`)),
    );
    check();
  });
}

/** Awaits something that workers do. @throws Error with the output of one that ends before */
export function unlessEnded<T>(workers: readonly WorkerProcess[], task: Promise<T>): Promise<T> {
  const ends = workers.map(async (worker): Promise<never> => {
    const code = await worker.ended;
    throw new Error(`a worker has ended with ${code}:\n${worker.output()}`);
  });
  for (const end of ends) end.catch(() => undefined);
  return Promise.race([task, ...ends]);
}
