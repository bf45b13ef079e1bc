import type { Notice } from './messages.ts';

const WHAT = { refused: 'Not let in', expelled: 'Had to go', reserve: 'Standby' } as const;

/** "Not let in: No token. (3 times)": who does not take part, and why. */
export function noticeText({ what, who, reason, times }: Notice): string {
  const often = times === 1 ? '' : ` (${times} times)`;
  return `${WHAT[what]}: ${who === undefined ? '' : `${who}: `}${reason}${often}`;
}
