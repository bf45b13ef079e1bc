import { isInteractive } from '../../shared/util/terminal.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { LogFormat } from './log.ts';
import { jsonReporter } from './json.ts';
import { plainReporter } from './plain.ts';
import type { Reporter } from './reporter.ts';
import { terminalReporter } from './terminal.ts';
import { styleOf } from './text-style.ts';

/** Reporter with a live progress bar on a terminal and plain lines elsewhere, or with JSON lines. */
export function createReporter(stream: NodeJS.WriteStream, clock: Clock, format: LogFormat): Reporter {
  if (format === 'json') return jsonReporter((json) => stream.write(json), clock);
  return isInteractive(stream, process.env)
    ? terminalReporter(stream, clock, styleOf(stream))
    : plainReporter((line) => stream.write(`${line}\n`), clock);
}
