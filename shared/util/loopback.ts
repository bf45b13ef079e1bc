/** Whether a host name or address means this machine itself. */
export const isLoopback = (host: string): boolean =>
  /^(127\.|::ffff:127\.|localhost$|::1$|\[::1\]$)/.test(host);
