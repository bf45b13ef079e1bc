/** Whether a soak runs in full size: npm run test:long -- --soak. */
export const isFullSize = process.env.GRADCAST_SOAK === '1';

/** How much of something a soak does: what the environment variable says, else one number in CI and another in full size. */
export function soakSize(variable: string, inCi: number, inFull: number): number {
  return Number(process.env[variable] ?? (isFullSize ? inFull : inCi));
}
