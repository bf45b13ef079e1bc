import { writeFile } from 'node:fs/promises';
import { join, dirname, resolve } from 'node:path';
import { summarizeFailure, runProgram, type ProgramResult, type RunOptions } from '../../util/run-program.ts';
import { packageName, TFJS_VERSION, type Variant } from '../locate/target.ts';
import { existsSync, readFileSync } from 'node:fs';

/** Command for npm: the one that started this process, else the one on PATH. */
export function npmCommand(env: NodeJS.ProcessEnv, ...args: string[]): [string, ...string[]] {
  const script = env.npm_execpath;
  // yarn and pnpm set npm_execpath too.
  if (script !== undefined && /npm-cli\.[cm]?js$/.test(script)) return [process.execPath, script, ...args];
  return ['npm', ...args];
}

/**
 * Writes the package.json of an engine's folder. npm runs no install script of a dependency, so that its files are
 * installed even if the addon is not; the folder has commands in place of these scripts.
 * @param nodeHeaders folder for node-gyp's --nodedir
 */
export async function writeEnginePackage(
  folder: string,
  variant: Variant,
  nodeHeaders: string | null,
): Promise<void> {
  const name = packageName(variant);
  const inPackage = `cd node_modules/${name} &&`;
  const headers = nodeHeaders === null ? '' : ` --nodedir=${JSON.stringify(nodeHeaders)}`;
  const manifest = {
    name: 'gradcast-engine',
    private: true,
    scripts: {
      'download-addon': `${inPackage} node scripts/install.js${variant === 'gpu' ? ' gpu download' : ''}`,
      'build-addon': `${inPackage} node-pre-gyp rebuild --build-from-source${headers}`,
    },
    dependencies: { [name]: TFJS_VERSION },
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
}

/** Arguments that install the packages of an engine's folder. Offline, npm would retry each for minutes while the user waits. */
export const NPM_INSTALL: readonly string[] = [
  ...['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'],
  ...['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=3000'],
];

/** Runs npm in an engine's folder, with the user's own configuration. */
export function runNpm(folder: string, args: readonly string[], options: RunOptions): Promise<ProgramResult> {
  const env: NodeJS.ProcessEnv = { ...process.env, npm_config_update_notifier: 'false' };
  // By default node-gyp compiles one file after the other.
  env.JOBS ??= 'max';
  // Under `npm start` these name the folder of gradcast.
  for (const name of ['npm_config_local_prefix', 'INIT_CWD', 'npm_package_json'])
    Reflect.deleteProperty(env, name);
  return runProgram(npmCommand(process.env, ...args), { ...options, env, cwd: folder });
}

/** Sentence that says why npm could not install a package. */
export function npmErrorMessage(name: string, result: ProgramResult): string {
  const code = NETWORK_ERROR.exec(result.lines.join('\n'))?.[0];
  return code === undefined
    ? `npm could not install ${name}: ${summarizeFailure(result)}`
    : `npm cannot reach its registry to install ${name} (${code}).`;
}

const NETWORK_ERROR =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/;

/**
 * Folder with Node's headers on this machine, for node-gyp's --nodedir, or null: node-gyp then downloads them. Headers of
 * the running major version are preferred; others do as well, because the addon uses Node-API alone, which later versions
 * keep.
 * @param execPath path of the running Node
 * @param version its version, as process.versions.node
 * @param configured folder that the user's npm configuration names
 */
export function findNodeHeaders(execPath: string, version: string, configured?: string): string | null {
  const candidates = [configured, resolve(dirname(execPath), '..'), '/usr', '/usr/local'];
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
