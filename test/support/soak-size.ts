/** True if soak tests run in full size: npm run test:long -- --soak. */
export const isFullSize = process.env.GRADCAST_SOAK === '1';

/** Size of a soak test: the environment variable, else `inFull` for a full-size run and `inCi` otherwise. */
export function soakSize(variable: string, inCi: number, inFull: number): number {
  return Number(process.env[variable] ?? (isFullSize ? inFull : inCi));
}
