import { inShort } from '../members/link-codecs.ts';
import type { Recoded } from './adaptive-codecs.ts';
import type { LinkFigures } from './link-figures.ts';

/** "98 Mb/s down, 95 Mb/s up, 4.1 ms there and back" */
export function describeLink({ downMsPerByte, upMsPerByte, rttMs }: LinkFigures): string {
  return `${rate(downMsPerByte)} down, ${rate(upMsPerByte)} up, ${rttMs.toFixed(1)} ms there and back`;
}

/** Why a link's vectors travel in another way from now on: a sentence. */
export function describeRecoded({ member, figures, ms }: Recoded): string {
  return (
    `Gradients and weights travel as ${inShort(member)} from now on. The link gives ${describeLink(figures)}; ` +
    `a shard should take ${ms.toFixed(0)} ms in place of ${figures.turnaroundMs.toFixed(0)}.`
  );
}

/** "98 Mb/s" */
function rate(msPerByte: number): string {
  const megabits = 0.008 / msPerByte;
  if (!(megabits < 10_000)) return 'over 10 Gb/s';
  if (megabits >= 1_000) return `${(megabits / 1_000).toFixed(1)} Gb/s`;
  return `${megabits.toFixed(megabits < 10 ? 1 : 0)} Mb/s`;
}
