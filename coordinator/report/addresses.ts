import { renderUnicodeCompact } from 'uqr';
import { formatCoordinatorLink } from '../../shared/protocol/coordinator-link.ts';
import { formatUrlFile } from '../../shared/protocol/url-file.ts';
import { isLoopback } from '../../shared/util/loopback.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import { quoteForShell } from './quote-for-shell.ts';
import type { Reporter } from './reporter.ts';

/** Only the owner reads the file, since it may have the token. */
const URL_FILE_MODE = 0o600;

interface AddressOptions {
  readonly token?: string | undefined;
  /** Number of local workers. */
  readonly workers: number | 'auto';
  /** Certificate of an HTTPS server. */
  readonly tls?: { readonly selfSigned: boolean; readonly fingerprint: string } | undefined;
  readonly minWorkers?: number;
  /** File with the addresses and the token. */
  readonly urlFile?: string | undefined;
}

/**
 * Prints the link by which workers and browsers join.
 * @param urls addresses of the coordinator, the nearest first
 * @param onScreen whether a screen alone shows the lines; then they have the token and a QR code
 */
export function printAddresses(
  urls: readonly string[],
  { token, workers, tls, minWorkers = 1, urlFile }: AddressOptions,
  { commandLine }: { readonly commandLine: string },
  report: Pick<Reporter, 'info' | 'warn'>,
  onScreen = process.stdout.isTTY,
): void {
  const { link, isReachableByOthers } = choosePageLink(urls, token, onScreen);
  const fingerprint = tls?.selfSigned === true ? ` --fingerprint ${tls.fingerprint}` : '';
  const command = `${commandLine} worker ${quoteForShell(link)}${fingerprint}`;
  const listening = urls.map((url) => url.replace(/^ws/, 'http')).join(', ');
  report.info(`Listening on ${listening}`, { event: 'listening', urls });
  if (isReachableByOthers) {
    report.info(`Join in a browser:   ${link}`);
    report.info(`Join from a machine: ${command}`);
    if (workers === 0) report.info(`Only watch:          ${withWatch(link)}`);
  } else {
    report.info(`Watch or join in a browser: ${link}`);
    if (workers === 0) report.info(`Join from this machine: ${command}`);
    report.info('Only this machine can join. Add --host 0.0.0.0 --port 2718 to let other machines join.');
  }
  if (token !== undefined && !onScreen) report.info('TOKEN stands for the token, which a log does not have.');
  if (urlFile !== undefined)
    report.info(`Join by the file:    ${commandLine} worker --url-file ${quoteForShell(urlFile)}`);
  if (tls?.selfSigned === true) {
    report.info('The certificate is self-signed: a browser warns once, and asks whether to continue.');
  }
  if (onScreen && isReachableByOthers) renderQrCode(link).forEach((line) => report.info(line));
  if (minWorkers > 1) report.info(`Waiting for ${minWorkers} workers ...`);
  else if (workers === 0) report.info('Waiting for the first worker ...');
}

/** Link to the page that does not compute. */
const withWatch = (link: string): string => {
  const [address = '', token] = link.split('#');
  return `${address}?watch${token === undefined ? '' : `#${token}`}`;
};

/** Link to a coordinator's page. */
export interface PageLink {
  readonly link: string;
  /** Whether other machines can open it. */
  readonly isReachableByOthers: boolean;
}

/**
 * The link to print: to the nearest address that other machines reach, or else to the nearest one.
 * @param urls addresses of the coordinator, the nearest first
 * @param showToken false for a log, which others may read; then TOKEN stands in its place
 */
export function choosePageLink(
  urls: readonly string[],
  token: string | undefined,
  showToken: boolean,
): PageLink {
  const outside = urls.find((url) => !isLoopback(new URL(url).hostname));
  const url = outside ?? urls[0] ?? '';
  const printedToken = token === undefined ? {} : { token: showToken ? token : 'TOKEN' };
  return {
    link: formatCoordinatorLink({ url, ...printedToken }),
    isReachableByOthers: outside !== undefined,
  };
}

/**
 * Prints the link to the page of a finished run that --keep-open serves.
 * @param urls addresses of the coordinator, the nearest first
 * @param onScreen whether a screen alone shows the line; then it has the token
 */
export function printServingUrl(
  urls: readonly string[],
  token: string | undefined,
  report: Pick<Reporter, 'info'>,
  onScreen: boolean,
): void {
  report.info(`Serving the page until Ctrl-C: ${choosePageLink(urls, token, onScreen).link}`, {
    event: 'serving',
    urls,
  });
}

/**
 * Writes a coordinator's addresses to a file on a disk that it shares with its workers. Those that only this machine reaches are left
 * out, unless there are no others.
 * @param urls addresses of the coordinator, the nearest first
 * @throws Error with a sentence if the file cannot be written
 */
export async function writeUrlFile(
  file: string,
  urls: readonly string[],
  { token, tls }: Pick<AddressOptions, 'token' | 'tls'>,
): Promise<void> {
  const outside = urls.filter((url) => !isLoopback(new URL(url).hostname));
  const links = (outside.length > 0 ? outside : urls).map((url) => ({
    url,
    ...(token === undefined ? {} : { token }),
    ...(tls?.selfSigned === true ? { fingerprint: tls.fingerprint } : {}),
  }));
  await writeFileAtomic(file, formatUrlFile({ links, isFinished: false }), { mode: URL_FILE_MODE });
}

/** Tells workers that start later, or that lose their connection, that the run is finished. @throws as writeUrlFile does */
export const finishUrlFile = (file: string): Promise<void> =>
  writeFileAtomic(file, formatUrlFile({ links: [], isFinished: true }), { mode: URL_FILE_MODE });

/** QR code in lines for a terminal, with inverted colors: cameras expect dark on light, and most terminals are dark. */
export function renderQrCode(address: string): string[] {
  return renderUnicodeCompact(address, { border: 2, ecc: 'L' }).split('\n');
}
