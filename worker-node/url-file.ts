import { open } from 'node:fs/promises';
import { parseUrlFile, type UrlFile } from '../shared/protocol/url-file.ts';
import type { CoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import { pause, type AbortSignalLike, type Clock } from '../shared/util/clock.ts';

const POLL_INTERVAL_MS = 1_000;
const MAX_BYTES = 16_384;

/** Contents of a file with the coordinator's addresses, or why there are none yet. */
async function readUrlFile(file: string): Promise<UrlFile | string> {
  try {
    const opened = await open(file);
    try {
      const { bytesRead, buffer } = await opened.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
      return parseUrlFile(buffer.toString('utf8', 0, bytesRead)) ?? 'it has no address of a coordinator';
    } finally {
      await opened.close();
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist' : errorMessage(error);
  }
}

/**
 * Waits until a coordinator has written its addresses to a file.
 * @returns the nearest address; null if the run is finished or the signal is aborted
 */
export async function waitForUrlFile(
  file: string,
  { signal, clock, info }: { signal: AbortSignalLike; clock: Clock; info: (line: string) => void },
): Promise<CoordinatorLink | null> {
  let printed = '';
  while (!signal.aborted) {
    const contents = await readUrlFile(file);
    if (typeof contents !== 'string') return contents.links[0] ?? null;
    if (contents !== printed) info(`Waiting for the address of a coordinator in ${file}: ${contents}.`);
    printed = contents;
    await pause(clock, POLL_INTERVAL_MS, signal);
  }
  return null;
}

/**
 * Finds a coordinator again by its file. A restarted coordinator has another address; one with several addresses may be reachable
 * by one of them only, so that each attempt takes the next one.
 * @param token of links without one
 * @returns function for the option `locate` of a worker
 */
export function locateByUrlFile(
  file: string,
  token: string | undefined,
): (current: CoordinatorLink, attempt: number) => Promise<CoordinatorLink | null> {
  return async (current, attempt) => {
    const contents = await readUrlFile(file);
    // A shared disk may fail for a while.
    if (typeof contents === 'string') return current;
    const link = contents.links[attempt % contents.links.length];
    return link === undefined ? null : { ...(token === undefined ? {} : { token }), ...link };
  };
}
