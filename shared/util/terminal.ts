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

/** Whether text on a stream may have colors (https://no-color.org). */
export const usesColor = (stream: Stream, env: Env): boolean =>
  isInteractive(stream, env) && !isSet(env.NO_COLOR);
