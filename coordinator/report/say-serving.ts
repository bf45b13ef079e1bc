import { isLoopback } from '../server/reachable.ts';
import type { Report } from './report.ts';

/**
 * Says that the page of a finished run stays, and where.
 * @param urls where the coordinator listens, the nearest first
 * @param seen whether the line goes to a screen only, and may have the token
 */
export function sayServing(
  urls: readonly string[],
  token: string | undefined,
  report: Pick<Report, 'info'>,
  seen: boolean,
): void {
  const outside = urls.find((url) => !isLoopback(new URL(url).hostname));
  const page = (outside ?? urls[0] ?? '').replace(/^ws/, 'http');
  const fragment = token === undefined ? '' : `#${seen ? encodeURIComponent(token) : 'TOKEN'}`;
  report.info(`Serving the page until Ctrl-C: ${page}/${fragment}`, { event: 'serving', urls });
}
