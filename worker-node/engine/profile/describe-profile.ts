import type { Profile } from './profile.ts';

/** Ops of less than this share of the step are added up in one line. */
const LEAST_SHARE = 0.005;

/** A table for a person to read: op, calls, ms and share of the step, the longest first. */
export function describeProfile(profile: Profile): string[] {
  const { engine, threads, batch, steps, stepMs, capturedMs, ops } = profile;
  const all = ops.reduce((sum, { ms }) => sum + ms, 0);
  const shown = ops.filter(({ ms }) => ms >= LEAST_SHARE * all);
  const rest = ops.filter(({ ms }) => ms < LEAST_SHARE * all);
  const rows = shown.map(({ op, inputs, calls, ms }) => row(op, calls, ms, all, inputs));
  if (rest.length > 0) {
    const sum = (of: 'calls' | 'ms'): number => rest.reduce((total, each) => total + each[of], 0);
    rows.push(row(`${rest.length} others`, sum('calls'), sum('ms'), all, ''));
  }
  rows.push(row('all ops', ops.reduce((sum, { calls }) => sum + calls, 0), all, all, '')); // prettier-ignore
  return [
    `A gradient step of the default model on ${engine}, ${threads} thread${threads === 1 ? '' : 's'}, batch ${batch}, ` +
      `mean of ${steps} steps:`,
    'op                          calls        ms   share  shapes of its inputs',
    ...rows,
    `A whole step, op by op: ${stepMs.toFixed(1)} ms (median)`,
    ...(capturedMs === null
      ? []
      : [`The same captured as a graph, as workers run it: ${capturedMs.toFixed(1)} ms (median)`]),
  ];
}

function row(op: string, calls: number, ms: number, all: number, inputs: string): string {
  const share = `${((100 * ms) / all).toFixed(1)}%`;
  const columns = [op.padEnd(26), calls.toFixed(0).padStart(6), ms.toFixed(2).padStart(9), share.padStart(7)];
  return `${columns.join(' ')}  ${inputs}`.trimEnd();
}
