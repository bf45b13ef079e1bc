import { networkInterfaces } from 'node:os';

const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';
export const isLoopback = (host: string): boolean => /^(127\.|::ffff:127\.|localhost$|::1$)/.test(host);

/** The addresses under which this machine's workers and others reach the server, the nearest first. */
export function reachableHosts(host: string): string[] {
  if (!isAnyAddress(host)) return [host.includes(':') ? `[${host}]` : host];
  const external = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
  return ['127.0.0.1', ...external];
}
