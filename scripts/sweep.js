import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What esbuild puts a hash of the content into, and what lies beside it. */
const HASHED = /-[0-9A-Z]{8}\.\w+(\.map|\.br|\.gz)?$/;
const KEPT_MS = 24 * 3_600_000;
const LIST = '.superseded.json';

/**
 * Removes files with a hash in their name that builds have left in a folder. They stay for a day after the last build that
 * needed them: programs that run, and pages that are open, load parts of themselves later.
 * @param keep names that the newest build has made
 */
export function sweep(folder, keep, nowMs = Date.now()) {
  const known = readList(folder);
  const superseded = {};
  const current = (name) => keep.has(name) || keep.has(name.replace(/\.(map|br|gz)$/, ''));
  for (const name of readdirSync(folder)) {
    if (!HASHED.test(name) || current(name)) continue;
    const sinceMs = known[name] ?? nowMs;
    if (nowMs - sinceMs > KEPT_MS) rmSync(join(folder, name), { force: true });
    else superseded[name] = sinceMs;
  }
  if (Object.keys(superseded).length > 0) writeFileSync(join(folder, LIST), JSON.stringify(superseded));
  else rmSync(join(folder, LIST), { force: true });
}

function readList(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, LIST), 'utf8'));
  } catch {
    return {};
  }
}
