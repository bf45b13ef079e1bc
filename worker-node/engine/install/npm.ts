import { writeFile } from 'node:fs/promises';
import { join, dirname, resolve } from 'node:path';
import { summarizeFailure, runProgram, type ProgramResult, type RunOptions } from '../../util/run-program.ts';
import { packageName, TFJS_VERSION, type Variant } from '../locate/target.ts';
import { existsSync, readFileSync } from 'node:fs';

/** npm as this process was started by it, else the one on PATH. */
export function npmCommand(env: NodeJS.ProcessEnv, ...args: string[]): [string, ...string[]] {
  const script = env.npm_execpath;
  // yarn and pnpm name themselves there too.
  if (script !== undefined && /npm-cli\.[cm]?js$/.test(script)) return [process.execPath, script, ...args];
  return ['npm', ...args];
}

/**
 * The package that an engine's folder is. npm runs no install script of a dependency, so that it brings the files
 * whatever becomes of the addon; what the scripts would do are commands of the folder itself.
 * @param nodeHeaders folder for node-gyp's --nodedir
 */
export async function writeEnginePackage(
  folder: string,
  variant: Variant,
  nodeHeaders: string | null,
): Promise<void> {
  const name = packageName(variant);
  const within = `cd node_modules/${name} &&`;
  const headers = nodeHeaders === null ? '' : ` --nodedir=${JSON.stringify(nodeHeaders)}`;
  const manifest = {
    name: 'gradcast-engine',
    private: true,
    scripts: {
      'download-addon': `${within} node scripts/install.js${variant === 'gpu' ? ' gpu download' : ''}`,
      'build-addon': `${within} node-pre-gyp rebuild --build-from-source${headers}`,
    },
    dependencies: { [name]: TFJS_VERSION },
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
}

/** npm in an engine's folder, with the person's own configuration. */
export function runNpm(folder: string, args: readonly string[], options: RunOptions): Promise<ProgramResult> {
  const env: NodeJS.ProcessEnv = { ...process.env, npm_config_update_notifier: 'false' };
  // node-gyp compiles one file after the other otherwise.
  env.JOBS ??= 'max';
  // Under `npm start` these say where that one runs.
  for (const name of ['npm_config_local_prefix', 'INIT_CWD', 'npm_package_json'])
    Reflect.deleteProperty(env, name);
  return runProgram(npmCommand(process.env, ...args), { ...options, env, cwd: folder });
}

/** Why npm could not install a package, as a sentence. */
export function npmErrorMessage(name: string, ran: ProgramResult): string {
  const code = NETWORK_ERROR.exec(ran.lines.join('\n'))?.[0];
  return code === undefined
    ? `npm could not install ${name}: ${summarizeFailure(ran)}`
    : `npm cannot reach its registry to install ${name} (${code}).`;
}

const NETWORK_ERROR =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/;

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
