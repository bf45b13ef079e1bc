import { formatCoordinatorLink } from '../../shared/coordinator-link.ts';
import { isLoopback } from '../server/reachable.ts';

/** The link that people are shown to a coordinator. */
export interface PageLink {
  readonly link: string;
  /** Whether other machines can use it. */
  readonly isReachableByOthers: boolean;
}

/**
 * The link to print: to the nearest address that other machines reach, else to the nearest one at all.
 * @param urls where the coordinator listens, the nearest first
 * @param showToken false where lines are kept: logs are read by others, so TOKEN takes the token's place
 */
export function choosePageLink(urls: readonly string[], token: string | undefined, showToken: boolean): PageLink {
  const outside = urls.find((url) => !isLoopback(new URL(url).hostname));
  const url = outside ?? urls[0] ?? '';
  const shown = token === undefined ? {} : { token: showToken ? token : 'TOKEN' };
  return { link: formatCoordinatorLink({ url, ...shown }), isReachableByOthers: outside !== undefined };
}
