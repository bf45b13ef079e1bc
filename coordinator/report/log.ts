import { pino, stdTimeFunctions } from 'pino';

/** Format of a log: text lines, or JSON objects for log collectors. */
export type LogFormat = 'text' | 'json';

/** Structured fields of a log line. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  info(line: string, fields?: LogFields): void;
  warn(line: string, fields?: LogFields): void;
}

/** Log of one JSON object a line: `level`, `time` (ISO 8601), the fields, and the text as `msg`. */
export function jsonLog(write: (json: string) => unknown): Log {
  const logger = pino(
    { base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    { write },
  );
  return {
    info: (line, fields = {}) => logger.info(fields, line),
    warn: (line, fields = {}) => logger.warn(fields, line),
  };
}
