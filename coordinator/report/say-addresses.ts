import type { Certificate } from '../server/certificate.ts';
import { qrCode } from '../server/qr-code.ts';
import { pageLink } from './page-link.ts';
import type { Report } from './report.ts';
import { shellWord } from './shell-word.ts';

interface Served {
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
export function sayAddresses(
  urls: readonly string[],
  { token, workers, tls, minWorkers = 1 }: Served,
  { typed }: { readonly typed: string },
  report: Pick<Report, 'info' | 'warn'>,
  seen = process.stdout.isTTY,
): void {
  const { link, reachesOthers } = pageLink(urls, token, seen);
  const fingerprint = tls?.selfSigned === true ? ` --fingerprint ${tls.fingerprint}` : '';
  const command = `${typed} worker ${shellWord(link)}${fingerprint}`;
  const listening = urls.map((each) => each.replace(/^ws/, 'http')).join(', ');
  report.info(`Listening on ${listening}`, { event: 'listening', urls });
  if (reachesOthers) {
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
  if (seen && reachesOthers) qrCode(link).forEach((line) => report.info(line));
  if (minWorkers > 1) report.info(`Waiting for ${minWorkers} workers ...`);
  else if (workers === 0) report.info('Waiting for the first worker ...');
}
