import { renderUnicodeCompact } from 'uqr';

/**
 * A QR code of an address in lines for a terminal, in its own colours turned round: cameras want dark on light, and most
 * terminals are dark.
 */
export function renderQrCode(address: string): string[] {
  return renderUnicodeCompact(address, { border: 2, ecc: 'L' }).split('\n');
}
