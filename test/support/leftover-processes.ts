import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Workers whose parent was killed end within seconds. */
const GRACE_MS = 15_000;
const POLL_MS = 250;

interface LeftoverProcess {
  readonly pid: number;
  readonly command: string;
}

/**
 * Ends processes that tests have started and left: those whose environment holds this variable, without this process and
 * its own children (vitest's). Linux only; elsewhere none is found.
 * @returns what was ended, with its command
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
    // It has ended, or is another user's.
    return null;
  }
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
