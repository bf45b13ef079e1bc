import { InvalidArgumentError } from 'commander';

/** For commander: SHA-256 of a certificate, 64 hex digits with or without colons; in Node's form. */
export function parseFingerprint(text: string): string {
  const digits = text.replaceAll(':', '').toUpperCase();
  if (!/^[0-9A-F]{64}$/.test(digits)) {
    throw new InvalidArgumentError('It takes the 64 hex digits that the coordinator prints.');
  }
  return (digits.match(/../g) ?? []).join(':');
}
