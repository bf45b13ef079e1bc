import type { OpTime } from './op-clock.ts';
import type { Profile } from './profile.ts';

/** Ops of less than this share of the step are added up in one line. */
const MIN_SHARE = 0.005;
const TABLE_HEADER = 'op                          calls        ms   share  shapes of its inputs';

/** Tables for a person to read: op, calls, ms and share of the step, the longest first. */
export function describeProfile(profile: Profile): string[] {
  const { engine, gpu, threads, batch, steps, stepMs, captured, ops } = profile;
  const lines = [
    `A gradient step of the default model on ${engine}, ${threads} thread${threads === 1 ? '' : 's'}, batch ${batch}; ` +
      `ops: mean of ${steps} steps, whole step: median`,
    ...(gpu ? ['On the GPU: the times of single ops are those of starting an op, not of its end.'] : []),
    '',
    `Op by op: ${stepMs.toFixed(1)} ms`,
    TABLE_HEADER,
    ...formatTable(ops),
  ];
  if (captured === null) return lines;
  return [
    ...lines,
    '',
    `Captured as a graph, as workers run it: ${captured.stepMs.toFixed(1)} ms`,
    TABLE_HEADER,
    ...formatTable(captured.ops),
  ];
}

function formatTable(ops: readonly OpTime[]): string[] {
  const sum = (of: readonly OpTime[]): { calls: number; ms: number } => ({
    calls: of.reduce((total, { calls }) => total + calls, 0),
    ms: of.reduce((total, { ms }) => total + ms, 0),
  });
  const all = sum(ops);
  const row = (op: string, { calls, ms }: { calls: number; ms: number }, inputs = ''): string => {
    const share = `${((100 * ms) / all.ms).toFixed(1)}%`;
    const columns = [
      op.padEnd(26),
      calls.toFixed(0).padStart(6),
      ms.toFixed(2).padStart(9),
      share.padStart(7),
    ];
    return `${columns.join(' ')}  ${inputs}`.trimEnd();
  };
  const shown = ops.filter(({ ms }) => ms >= MIN_SHARE * all.ms);
  const rest = ops.filter(({ ms }) => ms < MIN_SHARE * all.ms);
  return [
    ...shown.map((each) => row(each.op, each, each.inputs)),
    ...(rest.length === 0 ? [] : [row(`${rest.length} others`, sum(rest))]),
    row('all', all),
  ];
}
