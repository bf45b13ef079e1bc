/**
 * Whether a host name or IP address is the loopback of this machine: localhost, 127.0.0.0/8, ::1, or an address of
 * 127.0.0.0/8 inside an IPv6 address. Brackets around an IPv6 address are allowed.
 */
export const isLoopback = (host: string): boolean =>
  /^(localhost|(::ffff:)?127(\.\d{1,3}){3}|::ffff:7f[\da-f]{2}:[\da-f]{1,4}|::1)$/i.test(
    host.replace(/^\[(.*)\]$/, '$1'),
  );
