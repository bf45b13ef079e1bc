import { isIPv6 } from 'node:net';

/** Groups of an IPv6 address that name the network of one machine, a /64. */
const NETWORK_GROUPS = 4;
/** Groups of the network around it, a /48: providers assign a /56 or /48 to any customer. */
const SITE_GROUPS = 3;

/**
 * Network of a client's address, as limits count it: an IPv4 address (also if written as IPv6), or the /64 of an IPv6
 * address, since one machine can use all of its addresses.
 * @param address as the socket reports it; empty or unknown text is a network of its own
 */
export function addressBlock(address: string): string {
  const plain = address.split('%', 1)[0] ?? '';
  const mapped = embeddedIpv4(plain);
  if (mapped !== null) return mapped;
  return isIPv6(plain) ? `${parseGroups(plain).slice(0, NETWORK_GROUPS).join(':')}::/64` : plain;
}

/** Network around an address block: the /24 of an IPv4 address, the /48 of an IPv6 address. */
export function wideAddressBlock(address: string): string {
  const plain = address.split('%', 1)[0] ?? '';
  const ipv4 = embeddedIpv4(plain) ?? plain;
  if (isIPv6(ipv4)) return `${parseGroups(ipv4).slice(0, SITE_GROUPS).join(':')}::/48`;
  return `${ipv4.split('.').slice(0, 3).join('.')}/24`;
}

/** IPv4 address inside an IPv6 address (::ffff:1.2.3.4, in any spelling), or null. */
function embeddedIpv4(address: string): string | null {
  if (!isIPv6(address)) return null;
  const groups = parseGroups(address);
  if (groups.slice(0, 5).some((group) => group !== '0') || groups[5] !== 'ffff') return null;
  return groups
    .slice(6)
    .flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255])
    .join('.');
}

/** Eight groups of a valid IPv6 address, without leading zeros. */
function parseGroups(address: string): string[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (high: string | undefined, low: string | undefined): string =>
    ((Number(high) << 8) | Number(low)).toString(16);
  const text =
    dotted === null ? address : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [front = '', back] = text.split('::');
  const before = front === '' ? [] : front.split(':');
  const after = back === undefined || back === '' ? [] : back.split(':');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].map((group) => parseInt(group, 16).toString(16));
}
