import { codecLabel } from './codecs.ts';
import type { CodecChanged } from './policy.ts';
import type { LinkStats } from './meter.ts';

/** "98 Mb/s down, 95 Mb/s up, 4.1 ms there and back" */
export function describeLink({ downMsPerByte, upMsPerByte, rttMs }: LinkStats): string {
  return `${formatRate(downMsPerByte)} down, ${formatRate(upMsPerByte)} up, ${rttMs.toFixed(1)} ms there and back`;
}

/** Why a link's vectors travel in another way from now on: a sentence. */
export function describeCodecChange({ worker, stats, expectedMs }: CodecChanged): string {
  return (
    `Gradients and weights travel as ${codecLabel(worker.link)} from now on. The link gives ${describeLink(stats)}; ` +
    `a shard should take ${expectedMs.toFixed(0)} ms in place of ${stats.turnaroundMs.toFixed(0)}.`
  );
}

/** "98 Mb/s" */
function formatRate(msPerByte: number): string {
  const megabits = 0.008 / msPerByte;
  if (!(megabits < 10_000)) return 'over 10 Gb/s';
  if (megabits >= 1_000) return `${(megabits / 1_000).toFixed(1)} Gb/s`;
  return `${megabits.toFixed(megabits < 10 ? 1 : 0)} Mb/s`;
}
