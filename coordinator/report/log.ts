import { pino, stdTimeFunctions } from 'pino';

/** Form of a log: lines for people, or JSON objects for programs. */
export type LogFormat = 'text' | 'json';

/** What a line is about, for programs that read the log. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Lines for a person, with fields for programs. */
export interface Log {
  info(line: string, about?: LogFields): void;
  warn(line: string, about?: LogFields): void;
}

/** One JSON object a line: `level`, `time` (ISO 8601), the fields, and the line itself as `msg`. */
export function jsonLog(write: (json: string) => unknown): Log {
  const logger = pino(
    { base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    { write },
  );
  return {
    info: (line, about = {}) => logger.info(about, line),
    warn: (line, about = {}) => logger.warn(about, line),
  };
}
