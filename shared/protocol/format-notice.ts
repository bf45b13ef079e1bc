import type { Notice } from './messages.ts';

const NOTICE_LABELS = { refused: 'Refused', banned: 'Banned', standby: 'Standby' } as const;

/** "Not let in: No token. (3 times)": who does not take part, and why. */
export function formatNotice({ what, who, reason, times }: Notice): string {
  const often = times === 1 ? '' : ` (${times} times)`;
  return `${NOTICE_LABELS[what]}: ${who === undefined ? '' : `${who}: `}${reason}${often}`;
}
