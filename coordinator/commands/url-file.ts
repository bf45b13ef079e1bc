import { isLoopback } from '../../shared/util/loopback.ts';
import { formatUrlFile } from '../../shared/protocol/url-file.ts';
import { writeFileAtomic } from '../files/write-file.ts';

/** Only the owner reads the file, since it may have the token. */
const MODE = 0o600;

/**
 * Writes a coordinator's addresses to a file on a disk that it shares with its workers. Those that only this machine reaches are left
 * out, unless there are no others.
 * @param urls addresses of the coordinator, the nearest first
 * @throws Error with a sentence if the file cannot be written
 */
export async function writeUrlFile(
  file: string,
  urls: readonly string[],
  token: string | undefined,
): Promise<void> {
  const outside = urls.filter((url) => !isLoopback(new URL(url).hostname));
  const links = (outside.length > 0 ? outside : urls).map((url) =>
    token === undefined ? { url } : { url, token },
  );
  await writeFileAtomic(file, formatUrlFile({ links, isFinished: false }), { mode: MODE });
}

/** Tells workers that start later, or that lose their connection, that the run is finished. @throws as writeUrlFile does */
export const finishUrlFile = (file: string): Promise<void> =>
  writeFileAtomic(file, formatUrlFile({ links: [], isFinished: true }), { mode: MODE });
