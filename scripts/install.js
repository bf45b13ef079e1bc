import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.js';

/** The folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Whoever installs or builds has this. */
export const lockFile = `${root}/.starting`;

/** Installs what package-lock.json names, unless it is there already. */
export async function ensureInstalled() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(
      `gradcast needs Node 20.19 or later; this is ${process.versions.node}. See https://nodejs.org/`,
    );
    process.exit(1);
  }
  if (isInstalled()) return;
  if (lstatSync(`${root}/node_modules`, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci would empty the folder that it leads to, which others use.
    console.error('gradcast: node_modules is a link to a folder without what package-lock.json names.');
    console.error('Install there, or remove the link and run the same command again.');
    process.exit(1);
  }
  const onWaiting = () => console.log('Another start installs what is missing; waiting for it ...');
  const done = await withLock(lockFile, onWaiting, () => isInstalled() || install());
  if (!done) {
    console.error('gradcast: npm could not install the packages (its message stands above).');
    console.error('Check that this machine reaches a package registry, then run the same command again.');
    process.exit(1);
  }
}

/** @returns whether it worked */
async function install() {
  console.log('Installing what is missing (npm ci) ...');
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
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

/** npm writes node_modules/.package-lock.json last, so a broken-off install does not look like a whole one. */
function isInstalled() {
  const wanted = `${root}/package-lock.json`;
  const there = `${root}/node_modules/.package-lock.json`;
  if (!existsSync(there)) return false;
  if (statSync(there).mtimeMs >= statSync(wanted).mtimeMs) return true;
  const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const present = packages(there);
  return Object.entries(packages(wanted)).every(
    ([path, { version, optional }]) => path === '' || optional || present[path]?.version === version,
  );
}
