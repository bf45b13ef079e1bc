/** JSON as a value; null if it is none, as of a process that was killed while it wrote. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return null;
  }
}
