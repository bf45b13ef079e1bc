/** Environment variables of a process. */
type Env = Readonly<Record<string, string | undefined>>;
interface Stream {
  readonly isTTY?: boolean;
}

const isSet = (value: string | undefined): boolean =>
  value !== undefined && value !== '' && value !== 'false';

/**
 * Whether a stream is a terminal in front of a person: lines may be overwritten there, and questions asked. A log collector of CI may
 * show itself as a terminal, and TERM=dumb is one without a cursor.
 */
export const isInteractive = ({ isTTY }: Stream, env: Env): boolean =>
  isTTY === true && env.TERM !== 'dumb' && !isSet(env.CI);

/**
 * Whether text on a stream may have colors: where a person reads, or where FORCE_COLOR asks for them, unless NO_COLOR is set
 * (https://no-color.org, https://force-color.org).
 */
export function usesColor(stream: Stream, env: Env): boolean {
  if (isSet(env.NO_COLOR)) return false;
  const forced = env.FORCE_COLOR;
  return forced === undefined || forced === '' ? isInteractive(stream, env) : isSet(forced) && forced !== '0';
}
