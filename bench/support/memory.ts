import { execFileSync } from 'node:child_process';

/** Resident memory of a process and of each of those that it started, and so on, in MB: itself first. */
export function residentMemoryMb(pid: number): number[] {
  let text: string;
  try {
    text = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,rss='], { encoding: 'utf8' });
  } catch {
    return [];
  }
  const rows = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number]);
  const under = (parent: number): number[] =>
    rows
      .filter(([id, of]) => of === parent && id !== process.pid)
      .flatMap(([id, , rss]) => [rss / 1024, ...under(id)]);
  return [...rows.filter(([id]) => id === pid).map(([, , rss]) => rss / 1024), ...under(pid)];
}
