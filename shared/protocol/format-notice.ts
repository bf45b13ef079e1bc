import type { Notice } from './messages.ts';

const NOTICE_LABELS = { refused: 'Refused', banned: 'Banned', standby: 'Standby' } as const;

/** One line about a refused, banned or standby worker: "Refused: No token. (3 times)". */
export function formatNotice({ what, who, reason, times }: Notice): string {
  const suffix = times === 1 ? '' : ` (${times} times)`;
  return `${NOTICE_LABELS[what]}: ${who === undefined ? '' : `${who}: `}${reason}${suffix}`;
}
