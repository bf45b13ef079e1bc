import type { Clock } from '../../shared/clock.ts';
import type { LogFormat } from '../../shared/json-log.ts';
import { jsonReporter } from './json-report.ts';
import { plainReporter } from './plain-report.ts';
import type { Reporter } from './report.ts';
import { terminalReporter } from './terminal-report.ts';

/** A live bar on a terminal, plain lines anywhere else; or JSON, if that is wanted. */
export function createReporter(stream: NodeJS.WriteStream, clock: Clock, format: LogFormat): Reporter {
  if (format === 'json') return jsonReporter((json) => stream.write(json), clock);
  return stream.isTTY
    ? terminalReporter(stream, clock)
    : plainReporter((line) => stream.write(`${line}\n`), clock);
}
