import type { Certificate } from '../server/certificate.ts';
import { pageAddress, qrCode } from '../server/page-address.ts';
import { isLoopback } from '../server/reachable.ts';
import type { Report } from './report.ts';
import { shellWord } from './shell-word.ts';

interface Served {
  readonly host: string;
  readonly token?: string;
  /** None expected on this machine's own account. */
  readonly workers: number | 'auto';
  readonly tls?: Certificate | undefined;
  readonly minWorkers?: number;
}

/**
 * Says how workers and browsers join.
 * @param urls where the coordinator listens, the nearest first
 * @param seen whether somebody looks at the lines, and nobody keeps them: they may have the token, and a QR code for a camera
 */
export function sayAddresses(
  urls: readonly string[],
  { host, token, workers, tls, minWorkers = 1 }: Served,
  { typed }: { readonly typed: string },
  report: Pick<Report, 'info' | 'warn'>,
  seen = process.stdout.isTTY,
): void {
  const url = urls.at(-1) ?? '';
  const fingerprint = tls?.selfSigned === true ? ` --fingerprint ${tls.fingerprint}` : '';
  // Logs are kept, and read by others.
  const shown = token === undefined || seen ? token : 'TOKEN';
  const page = pageAddress(url, shown);
  report.info(`Listening on ${urls.join(', ')}`, { event: 'listening', urls });
  report.info(
    `Attach a machine:   ${typed} worker ${url}${shown === undefined ? '' : ` --token ${shellWord(shown)}`}${fingerprint}`,
  );
  report.info(`Attach a browser:   ${page}`);
  if (tls?.selfSigned === true) {
    report.info('The certificate is self-signed: a browser warns once, and asks whether to go on.');
  }
  if (seen && !isLoopback(host)) qrCode(page).forEach((line) => report.info(line));
  if (minWorkers > 1) report.info(`Waiting for ${minWorkers} workers ...`);
  else if (workers === 0) report.info('Waiting for the first worker ...');
}
