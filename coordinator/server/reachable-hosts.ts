import { networkInterfaces } from 'node:os';

const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';
/** fe80::/10 is of one link: it needs a zone, which no browser takes in an address. */
const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address);

/**
 * The addresses under which this machine's workers and others reach the server: this machine's own loopback first, then IPv4,
 * then IPv6, which only '::' listens on.
 * @param host what the server listens on
 */
export function reachableHosts(host: string, interfaces = networkInterfaces()): string[] {
  if (!isAnyAddress(host)) return [host.includes(':') ? `[${host}]` : host];
  const external = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal }) => !internal);
  const ipv4 = external.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
  if (host === '0.0.0.0') return ['127.0.0.1', ...ipv4];
  const ipv6 = external
    .filter(({ family, address }) => family === 'IPv6' && !isLinkLocal(address))
    .map(({ address }) => `[${address}]`);
  return ['127.0.0.1', ...ipv4, '[::1]', ...ipv6];
}
