import { choosePageLink } from './page-link.ts';
import type { Reporter } from './report.ts';

/**
 * Says that the page of a finished run stays, and where.
 * @param urls where the coordinator listens, the nearest first
 * @param seen whether the line goes to a screen only, and may have the token
 */
export function printServingUrl(
  urls: readonly string[],
  token: string | undefined,
  report: Pick<Reporter, 'info'>,
  seen: boolean,
): void {
  report.info(`Serving the page until Ctrl-C: ${choosePageLink(urls, token, seen).link}`, {
    event: 'serving',
    urls,
  });
}
