import { readFile, readlink } from 'node:fs/promises';

/**
 * What tells a process from another one that is given its number later: the start of the machine and, counted from there,
 * its own. Null where nothing says so (Linux does).
 */
export async function processStartTime(pid: number): Promise<string | null> {
  const { bootId, stat } = await readProcStat(pid);
  return stat === null ? null : `${bootId} ${stat.startTicks}`;
}

/**
 * Names the set of processes that this one can see: the start of the machine and the PID namespace. A container has one of
 * its own, in which the numbers of other containers mean other processes or none. Null where nothing says so (Linux does).
 */
export async function processNamespace(): Promise<string | null> {
  const [bootId, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => null),
    readlink('/proc/self/ns/pid').catch(() => null),
  ]);
  return bootId === null || namespace === null ? null : `${bootId.trim()} ${namespace}`;
}

/** Whether the process that had this number and this start is still there. */
export async function isProcessAlive(pid: number, start: string | null): Promise<boolean> {
  if (!pidExists(pid)) return false;
  const { bootId, stat } = await readProcStat(pid);
  if (stat === null) return true;
  // One that was killed may wait for long until its parent has asked after it.
  if (stat.state === 'Z' || stat.state === 'X') return false;
  return start === null || start === `${bootId} ${stat.startTicks}`;
}

function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** proc(5). The name of the program stands in brackets, and may hold any itself. */
async function readProcStat(
  pid: number,
): Promise<{ bootId: string; stat: { state: string; startTicks: string } | null }> {
  const [boot, line] = await Promise.all(
    ['/proc/sys/kernel/random/boot_id', `/proc/${pid}/stat`].map((path) =>
      readFile(path, 'utf8').catch(() => null),
    ),
  );
  const fields = line?.slice(line.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields?.[0], fields?.[19]];
  const stat = state === undefined || startTicks === undefined ? null : { state, startTicks };
  return { bootId: (boot ?? '').trim(), stat };
}
