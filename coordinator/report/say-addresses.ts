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
 * @param qr whether somebody looks at the lines whose camera could read a QR code
 */
export function sayAddresses(
  urls: readonly string[],
  { host, token, workers, tls, minWorkers = 1 }: Served,
  { typed }: { readonly typed: string },
  report: Pick<Report, 'info' | 'warn'>,
  qr = process.stdout.isTTY,
): void {
  const url = urls.at(-1) ?? '';
  const fingerprint = tls?.selfSigned === true ? ` --fingerprint ${tls.fingerprint}` : '';
  const page = pageAddress(url, token);
  report.info(`Listening on ${urls.join(', ')}`);
  report.info(
    `Attach a machine:   ${typed} worker ${url}${token === undefined ? '' : ` --token ${shellWord(token)}`}${fingerprint}`,
  );
  report.info(`Attach a browser:   ${page}`);
  if (tls?.selfSigned === true) {
    report.info('The certificate is self-signed: a browser warns once, and asks whether to go on.');
  }
  if (qr && !isLoopback(host)) qrCode(page).forEach((line) => report.info(line));
  if (minWorkers > 1) report.info(`Waiting for ${minWorkers} workers ...`);
  else if (workers === 0) report.info('Waiting for the first worker ...');
}
