import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.js';

/** The folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Whoever installs or builds has this. */
export const lockFile = `${root}/.starting`;

/**
 * Installs what is missing of package-lock.json. Running needs the packages of package.json; the checks need those of
 * test/package.json too.
 * @param {{ checks?: boolean }} [options]
 */
export async function ensureInstalled({ checks = false } = {}) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(
      `gradcast needs Node 20.19 or later; this is ${process.versions.node}. See https://nodejs.org/`,
    );
    process.exit(1);
  }
  if (isInstalled(checks)) return;
  if (lstatSync(`${root}/node_modules`, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm would change the folder that it leads to, which others use.
    console.error('gradcast: node_modules is a link to a folder without what package-lock.json names.');
    console.error('Install there, or remove the link and run the same command again.');
    process.exit(1);
  }
  const onWaiting = () => console.log('Another start installs what is missing; waiting for it ...');
  const done = await withLock(lockFile, onWaiting, () => isInstalled(checks) || install(checks));
  if (!done) {
    console.error('gradcast: npm could not install the packages (its message stands above).');
    console.error('Check that this machine reaches a package registry, then run the same command again.');
    process.exit(1);
  }
}

/** Bundles with esbuild, which may not be installed yet when a script that uses this is loaded. */
export async function esbuild(options) {
  const { build } = await import('esbuild');
  return build(options);
}

/** @returns whether it worked */
async function install(checks) {
  // `npm ci` removes node_modules first: not where packages are only added, since programs may be running from there.
  const fresh = !existsSync(`${root}/node_modules`);
  const command = fresh ? ['ci'] : ['install', '--no-save'];
  console.log(`Installing what is missing (npm ${command.join(' ')}) ...`);
  const args = [
    ...command,
    ...(checks ? [] : ['--workspaces=false']),
    '--include=dev',
    '--include=optional',
    // No package needs its scripts, and those of tfjs-node would download TensorFlow, which `engine install` does.
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  // npm is a script that runs under this very Node; on Windows its name alone could not be started. Others that start
  // scripts name themselves in the same place, and have no ci.
  const script = process.env.npm_execpath ?? '';
  const npm = /npm-cli\.[cm]?js$/.test(script)
    ? spawn(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' })
    : spawn('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  try {
    const [code] = await once(npm, 'exit');
    return code === 0;
  } catch (error) {
    console.error(`gradcast: npm cannot be started: ${error.message}`);
    return false;
  }
}

/**
 * Whether all packages that are named directly are there, and each package that is there has the locked version.
 * npm writes node_modules/.package-lock.json last, so an interrupted install does not look complete.
 */
export function isInstalled(checks) {
  const packagesIn = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  let present;
  try {
    present = packagesIn(`${root}/node_modules/.package-lock.json`);
  } catch {
    return false;
  }
  const locked = packagesIn(`${root}/package-lock.json`);
  const arePresent = (folder) => {
    const { dependencies = {}, devDependencies = {} } = locked[folder] ?? {};
    return [...Object.keys(dependencies), ...Object.keys(devDependencies)].every(
      (name) => (present[`node_modules/${name}`] ?? present[`test/node_modules/${name}`]) !== undefined,
    );
  };
  return (
    arePresent('') &&
    (!checks || arePresent('test')) &&
    Object.entries(present).every(([path, { version }]) => (locked[path]?.version ?? version) === version)
  );
}
