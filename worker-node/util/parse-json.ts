/** Parses JSON; null if it is invalid, as from a process that was killed while writing. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return null;
  }
}
