import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names with esbuild's hash of the content, source maps and compressed files included. */
const HASHED = /-[0-9A-Z]{8}\.\w+(\.map|\.br|\.gz)?$/;
const KEEP_MS = 24 * 3_600_000;
const LIST = '.superseded.json';

/**
 * Removes files of earlier builds, recognized by the hash in their name. A file stays for a day after the last build that
 * needed it, since running programs and open pages load chunks later.
 * @param keep names of the newest build's files
 */
export function sweep(folder, keep, nowMs = Date.now()) {
  const sinceByName = readList(folder);
  const superseded = {};
  const isCurrent = (name) => keep.has(name) || keep.has(name.replace(/\.(map|br|gz)$/, ''));
  for (const name of readdirSync(folder)) {
    if (!HASHED.test(name) || isCurrent(name)) continue;
    const sinceMs = sinceByName[name] ?? nowMs;
    if (nowMs - sinceMs > KEEP_MS) rmSync(join(folder, name), { force: true });
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
