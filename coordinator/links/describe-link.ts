import { codecLabel } from './codecs.ts';
import type { LinkStats } from './meter.ts';
import type { CodecChanged } from './policy.ts';

/** "98 Mb/s down, 95 Mb/s up, 4.1 ms round trip" */
export function describeLink({ downMsPerByte, upMsPerByte, rttMs }: LinkStats): string {
  return `${formatRate(downMsPerByte)} down, ${formatRate(upMsPerByte)} up, ${rttMs.toFixed(1)} ms round trip`;
}

/** Reason for a codec switch, in two sentences. */
export function describeCodecChange({ worker, stats, expectedMs }: CodecChanged): string {
  return (
    `Gradients and weights are now sent as ${codecLabel(worker.link)}. The link has ${describeLink(stats)}; ` +
    `a shard should take ${expectedMs.toFixed(0)} ms instead of ${stats.turnaroundMs.toFixed(0)}.`
  );
}

/** "98 Mb/s" */
function formatRate(msPerByte: number): string {
  const megabits = 0.008 / msPerByte;
  if (!(megabits < 10_000)) return 'over 10 Gb/s';
  if (megabits >= 1_000) return `${(megabits / 1_000).toFixed(1)} Gb/s`;
  return `${megabits.toFixed(megabits < 10 ? 1 : 0)} Mb/s`;
}
