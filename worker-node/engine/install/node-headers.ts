import { existsSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/**
 * Where the headers of the running Node are on this machine, as node-gyp's --nodedir wants it, or null: node-gyp then
 * downloads them. Headers of another major version would build an addon for that one.
 *
 * @param execPath the Node that runs
 * @param version its version, as process.versions.node
 * @param named what the person's npm configuration names, if anything
 */
export function nodeHeadersDir(execPath: string, version: string, named?: string): string | null {
  const candidates = [named, resolve(dirname(execPath), '..'), '/usr', '/usr/local'];
  return candidates.find((dir) => dir !== undefined && hasHeaders(dir, version)) ?? null;
}

function hasHeaders(dir: string, version: string): boolean {
  const include = join(dir, 'include', 'node');
  if (!existsSync(join(include, 'node_api.h')) || !existsSync(join(include, 'common.gypi'))) return false;
  try {
    const text = readFileSync(join(include, 'node_version.h'), 'utf8');
    return /#define NODE_MAJOR_VERSION (\d+)/.exec(text)?.[1] === version.split('.')[0];
  } catch {
    return false;
  }
}
