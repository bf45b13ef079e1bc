import type { Certificate } from '../server/certificate.ts';
import { renderQrCode } from '../server/qr-code.ts';
import { choosePageLink } from './page-link.ts';
import type { Reporter } from './report.ts';
import { quoteForShell } from './shell-word.ts';

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
