import { formatCoordinatorLink, parseCoordinatorLink, type CoordinatorLink } from './coordinator-link.ts';

/** Text of the file in the place of addresses when the run is finished. */
const FINISHED = 'finished';

/** Contents of a file by which workers find their coordinator. */
export interface UrlFile {
  /** Addresses of the coordinator, the nearest first; empty if the run is finished. */
  readonly links: readonly CoordinatorLink[];
  readonly isFinished: boolean;
}

/** Text of the file: a link on each line, or the word `finished`. */
export const formatUrlFile = ({ links, isFinished }: UrlFile): string =>
  isFinished ? `${FINISHED}\n` : links.map((link) => `${formatCoordinatorLink(link)}\n`).join('');

/**
 * Parses the file.
 * @returns null if it has no address
 */
export function parseUrlFile(text: string): UrlFile | null {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines[0] === FINISHED) return { links: [], isFinished: true };
  const links = lines.flatMap((line) => parseCoordinatorLink(line) ?? []);
  return links.length === 0 ? null : { links, isFinished: false };
}
