/** Milliseconds that this process has computed, with a resolution of a microsecond: those in which others have its core do not count. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}
