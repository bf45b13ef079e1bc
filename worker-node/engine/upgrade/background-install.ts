import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const KILL_AFTER_MS = 3_000;

/** Result of an installation during a run; `why` is a sentence. */
export type BackgroundInstall = { readonly done: true } | { readonly done: false; readonly why: string };

/**
 * Installs native TensorFlow in a process of its own at the lowest priority. Never rejects.
 * @param signal stops the installation; downloaded files are kept for the next one
 */
export function installInBackground(
  [program, ...args]: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<BackgroundInstall> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve({ done: false, why: 'stopped' });
      return;
    }
    const child = spawn(program, [...args, 'engine', 'install', '--background'], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let lastLine = 'it printed nothing';
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.trim() !== '') lastLine = line.trim();
    });
    child.stdin.on('error', () => undefined);
    let kill: NodeJS.Timeout | undefined;
    const stop = (): void => {
      child.stdin.end();
      kill = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    };
    signal.addEventListener('abort', stop);
    const settle = (result: BackgroundInstall): void => {
      clearTimeout(kill);
      signal.removeEventListener('abort', stop);
      resolve(result);
    };
    child.once('error', (error) => settle({ done: false, why: error.message }));
    child.once('close', (code) => settle(code === 0 ? { done: true } : { done: false, why: lastLine }));
  });
}
