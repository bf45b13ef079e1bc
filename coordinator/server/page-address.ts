import { renderUnicodeCompact } from 'uqr';

/** The address of the page, from one that workers use. The token stands behind the #, which browsers send to nobody. */
export function pageAddress(workerUrl: string, token: string | undefined): string {
  return `${workerUrl.replace(/^ws/, 'http')}/${token === undefined ? '' : `#${encodeURIComponent(token)}`}`;
}

/**
 * A QR code of an address in lines for a terminal, in its own colours turned round: cameras want dark on light, and most
 * terminals are dark.
 */
export function qrCode(address: string): string[] {
  return renderUnicodeCompact(address, { border: 2, ecc: 'L' }).split('\n');
}
