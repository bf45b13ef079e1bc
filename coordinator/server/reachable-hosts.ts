import { networkInterfaces } from 'node:os';

const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';
/** Whether an address is in fe80::/10. Such an address needs a zone, which browsers do not accept. */
const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address);

/**
 * Addresses under which this machine and others reach the server: loopback first, then IPv4 addresses, then IPv6
 * addresses, on which only '::' listens.
 * @param host address that the server listens on
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
