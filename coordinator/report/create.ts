import type { Clock } from '../../shared/clock.ts';
import { plainReport } from './plain-report.ts';
import type { Report } from './report.ts';
import { terminalReport } from './terminal-report.ts';

/** A live bar on a terminal, plain lines anywhere else. */
export function createReport(stream: NodeJS.WriteStream, clock: Clock): Report {
  return stream.isTTY
    ? terminalReport(stream, clock)
    : plainReport((line) => stream.write(`${line}\n`), clock);
}
