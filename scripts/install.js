import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.js';

/** Folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Lock that a process holds while it installs packages or builds. */
export const lockFile = `${root}/.starting`;

/**
 * Installs missing packages of package-lock.json: those of package.json and, for the checks, of
 * test/package.json and docs/package.json.
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
    // npm would change the folder behind the link, which other checkouts may use.
    console.error('gradcast: node_modules is a link, and its folder lacks packages of package-lock.json.');
    console.error('Install them there, or remove the link and run the same command again.');
    process.exit(1);
  }
  const onWaiting = () => console.log('Another process is installing packages; waiting for it ...');
  const done = await withLock(lockFile, onWaiting, () => isInstalled(checks) || install(checks));
  if (!done) {
    console.error('gradcast: npm could not install the packages; see its message above.');
    console.error('Check that this machine can reach a package registry, then run the same command again.');
    process.exit(1);
  }
}

/** Bundles with esbuild. It is imported on the first call, since a script may load this file before it is installed. */
export async function esbuild(options) {
  const { build } = await import('esbuild');
  return build(options);
}

/** @returns whether npm succeeded */
async function install(checks) {
  // `npm ci` removes node_modules first, and running programs may use it: only without node_modules.
  const fresh = !existsSync(`${root}/node_modules`);
  const command = fresh ? ['ci'] : ['install', '--no-save'];
  console.log(`Installing missing packages (npm ${command.join(' ')}) ...`);
  const args = [
    ...command,
    ...(checks ? [] : ['--workspaces=false']),
    '--include=dev',
    '--include=optional',
    // No package needs its scripts. Those of tfjs-node would download TensorFlow, which is left to `engine install`.
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  // npm is a script that this Node runs; on Windows it cannot be started by its name alone. Other package managers set
  // the same variable but have no `ci`.
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
 * Whether all direct dependencies are installed, and each installed package has its locked version. npm writes
 * node_modules/.package-lock.json last, so an interrupted installation does not look complete.
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
      (name) => (present[`node_modules/${name}`] ?? present[`${folder}/node_modules/${name}`]) !== undefined,
    );
  };
  return (
    arePresent('') &&
    (!checks || (arePresent('test') && arePresent('docs'))) &&
    Object.entries(present).every(([path, { version }]) => (locked[path]?.version ?? version) === version)
  );
}
