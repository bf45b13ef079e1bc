import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Time in which workers must end after their parent was killed. */
const GRACE_MS = 15_000;
const POLL_MS = 250;

interface LeftoverProcess {
  readonly pid: number;
  readonly command: string;
}

/**
 * Kills processes that tests have left behind: those with this variable in their environment, except this process and its
 * direct children, which are vitest's. Finds processes only on Linux.
 * @returns ids and commands of the killed processes
 */
export async function killProcessesWith(name: string, value: string): Promise<string[]> {
  const deadlineMs = performance.now() + GRACE_MS;
  for (;;) {
    const left = await findProcesses(`${name}=${value}`);
    if (left.length === 0) return [];
    if (performance.now() > deadlineMs) {
      for (const { pid } of left) killProcess(pid);
      return left.map(({ pid, command }) => `process ${pid}: ${command}`);
    }
    await sleep(POLL_MS);
  }
}

async function findProcesses(setting: string): Promise<LeftoverProcess[]> {
  const numbers = (await readdir('/proc').catch((): string[] => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(numbers.map((pid) => inspectProcess(Number(pid), setting)));
  return found.filter((each) => each !== null);
}

async function inspectProcess(pid: number, setting: string): Promise<LeftoverProcess | null> {
  try {
    const [environment, stat, command] = await Promise.all(
      ['environ', 'stat', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
    );
    const [state, parent] = (stat ?? '').slice((stat ?? '').lastIndexOf(')') + 2).split(' ');
    const isOurs = pid === process.pid || Number(parent) === process.pid;
    if (isOurs || state === 'Z' || !(environment ?? '').split('\0').includes(setting)) return null;
    return { pid, command: (command ?? '').replaceAll('\0', ' ').trim() };
  } catch {
    // The process has ended, or is another user's.
    return null;
  }
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended.
  }
}
