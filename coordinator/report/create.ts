import type { Clock } from '../../shared/clock.ts';
import type { LogFormat } from '../../shared/json-log.ts';
import { jsonReport } from './json-report.ts';
import { plainReport } from './plain-report.ts';
import type { Report } from './report.ts';
import { terminalReport } from './terminal-report.ts';

/** A live bar on a terminal, plain lines anywhere else; or JSON, if that is wanted. */
export function createReport(stream: NodeJS.WriteStream, clock: Clock, format: LogFormat): Report {
  if (format === 'json') return jsonReport((json) => stream.write(json), clock);
  return stream.isTTY
    ? terminalReport(stream, clock)
    : plainReport((line) => stream.write(`${line}\n`), clock);
}
