import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

/** Identity of a process for other processes, on this machine and on others. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** See processStartTime. */
  readonly start: string | null;
  /** See processNamespace. */
  readonly space?: string | null | undefined;
}

export const identifyThisProcess = async (): Promise<ProcessIdentity> => ({
  pid: process.pid,
  host: hostname(),
  start: await processStartTime(process.pid),
  space: await processNamespace(),
});

/**
 * Start of the machine and, counted from there, of the process. It tells a process from a later one with the same number.
 * @returns null on systems that do not say (Linux does)
 */
export async function processStartTime(pid: number): Promise<string | null> {
  const { bootId, stat } = await readProcStat(pid);
  return stat === null ? null : `${bootId} ${stat.startTicks}`;
}

/**
 * Start of the machine and PID namespace of this process. A container has a PID namespace of its own, in which numbers of
 * other containers mean other processes or none.
 * @returns null on systems that do not say (Linux does)
 */
async function processNamespace(): Promise<string | null> {
  const [bootId, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => null),
    readlink('/proc/self/ns/pid').catch(() => null),
  ]);
  return bootId === null || namespace === null ? null : `${bootId.trim()} ${namespace}`;
}

/**
 * Whether a process is in the namespace of this one, so that its number can be looked up. Locks of version 0.1 have a host
 * name and no namespace.
 */
export function isProcessVisible(other: ProcessIdentity, own: ProcessIdentity): boolean {
  return typeof other.space === 'string' && own.space !== null
    ? other.space === own.space
    : other.host === own.host;
}

/** Whether a visible process still runs. @param start its start, to exclude a later process with the same number */
export async function isProcessAlive(pid: number, start: string | null): Promise<boolean> {
  if (!pidExists(pid)) return false;
  const { bootId, stat } = await readProcStat(pid);
  if (stat === null) return true;
  // A killed process stays a zombie until its parent has read its exit status, which may take long.
  if (stat.state === 'Z' || stat.state === 'X') return false;
  return start === null || start === `${bootId} ${stat.startTicks}`;
}

function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process exists and belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Fields of /proc/PID/stat, see proc(5). The program's name stands in brackets, and may contain brackets itself. */
async function readProcStat(
  pid: number,
): Promise<{ bootId: string; stat: { state: string; startTicks: string } | null }> {
  const [boot, line] = await Promise.all(
    ['/proc/sys/kernel/random/boot_id', `/proc/${pid}/stat`].map((path) =>
      readFile(path, 'utf8').catch(() => null),
    ),
  );
  const fields = line?.slice(line.lastIndexOf(')') + 2).split(' ');
  const state = fields?.[0];
  const startTicks = fields?.[19];
  const stat = state === undefined || startTicks === undefined ? null : { state, startTicks };
  return { bootId: (boot ?? '').trim(), stat };
}
