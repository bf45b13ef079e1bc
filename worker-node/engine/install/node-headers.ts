import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/**
 * Where the headers of the running Node are on this machine, as node-gyp's --nodedir wants it, or null: node-gyp then
 * downloads them. Those of the running major version come first; but the addon uses Node-API alone, which is the same in
 * every later version, so others will do.
 *
 * @param execPath the Node that runs
 * @param version its version, as process.versions.node
 * @param named what the person's npm configuration names, if anything
 */
export function findNodeHeaders(execPath: string, version: string, named?: string): string | null {
  const candidates = [named, resolve(dirname(execPath), '..'), '/usr', '/usr/local'];
  const found = candidates.filter((dir) => dir !== undefined && hasHeaders(dir));
  return found.find((dir) => dir !== undefined && matchesMajorVersion(dir, version)) ?? found[0] ?? null;
}

function hasHeaders(dir: string): boolean {
  return ['node_api.h', 'common.gypi'].every((file) => existsSync(join(dir, 'include', 'node', file)));
}

function matchesMajorVersion(dir: string, version: string): boolean {
  try {
    const text = readFileSync(join(dir, 'include', 'node', 'node_version.h'), 'utf8');
    return /#define NODE_MAJOR_VERSION (\d+)/.exec(text)?.[1] === version.split('.')[0];
  } catch {
    return false;
  }
}
