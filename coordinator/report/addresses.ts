import type { Certificate } from '../server/tls.ts';
import type { Reporter } from './reporter.ts';
import { quoteForShell } from './quote-for-shell.ts';
import { formatCoordinatorLink } from '../../shared/protocol/coordinator-link.ts';
import { isLoopback } from '../server/reachable-hosts.ts';
import { renderUnicodeCompact } from 'uqr';

interface AddressOptions {
  readonly token?: string;
  /** None expected on this machine's own account. */
  readonly workers: number | 'auto';
  readonly tls?: Certificate | undefined;
  readonly minWorkers?: number;
}

/**
 * Says how workers and browsers join: one link for both.
 * @param urls where the coordinator listens, the nearest first
 * @param seen whether the lines go to a screen only: they may have the token, and a QR code for a camera
 */
export function printAddresses(
  urls: readonly string[],
  { token, workers, tls, minWorkers = 1 }: AddressOptions,
  { commandLine }: { readonly commandLine: string },
  report: Pick<Reporter, 'info' | 'warn'>,
  seen = process.stdout.isTTY,
): void {
  const { link, isReachableByOthers } = choosePageLink(urls, token, seen);
  const fingerprint = tls?.selfSigned === true ? ` --fingerprint ${tls.fingerprint}` : '';
  const command = `${commandLine} worker ${quoteForShell(link)}${fingerprint}`;
  const listening = urls.map((each) => each.replace(/^ws/, 'http')).join(', ');
  report.info(`Listening on ${listening}`, { event: 'listening', urls });
  if (isReachableByOthers) {
    report.info(`Join in a browser:   ${link}`);
    report.info(`Join from a machine: ${command}`);
  } else {
    report.info(`Watch or join in a browser: ${link}`);
    if (workers === 0) report.info(`Join from this machine: ${command}`);
    report.info('Only this machine can join. Add --host 0.0.0.0 --port 2718 to let other machines join.');
  }
  if (tls?.selfSigned === true) {
    report.info('The certificate is self-signed: a browser warns once, and asks whether to go on.');
  }
  if (seen && isReachableByOthers) renderQrCode(link).forEach((line) => report.info(line));
  if (minWorkers > 1) report.info(`Waiting for ${minWorkers} workers ...`);
  else if (workers === 0) report.info('Waiting for the first worker ...');
}

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
export function choosePageLink(
  urls: readonly string[],
  token: string | undefined,
  showToken: boolean,
): PageLink {
  const outside = urls.find((url) => !isLoopback(new URL(url).hostname));
  const url = outside ?? urls[0] ?? '';
  const shown = token === undefined ? {} : { token: showToken ? token : 'TOKEN' };
  return { link: formatCoordinatorLink({ url, ...shown }), isReachableByOthers: outside !== undefined };
}

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

/**
 * A QR code of an address in lines for a terminal, in its own colours turned round: cameras want dark on light, and most
 * terminals are dark.
 */
export function renderQrCode(address: string): string[] {
  return renderUnicodeCompact(address, { border: 2, ecc: 'L' }).split('\n');
}
