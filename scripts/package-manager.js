// Installs packages of the operating system that tests need.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Arguments of each package manager before an installation, and of the installation itself. */
const PACKAGE_MANAGERS = {
  'apt-get': { before: [['update', '-q']], install: ['install', '-y', '-q', '--no-install-recommends'] },
  dnf: { before: [], install: ['install', '-y', '-q'] },
  apk: { before: [], install: ['add', '-q'] },
  pacman: { before: [], install: ['-Sy', '--noconfirm'] },
};
const TIMEOUT_MS = 10 * 60_000;

/** This machine. */
export const thisMachine = {
  env: process.env,
  isRoot: process.getuid?.() === 0,
  run: (program, args) =>
    spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], timeout: TIMEOUT_MS }).status === 0,
  log: (line) => console.log(line),
};

export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of the first program on the PATH with one of these names; null if there is none. */
export function findProgram(names, env = process.env) {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const paths = folders.flatMap((folder) => names.map((name) => join(folder, name)));
  return paths.find(isProgram) ?? null;
}

/**
 * The package manager of this machine.
 * @param packages names of the packages for each package manager
 * @returns null if it has none, or none that has the packages
 */
export function packageManager(packages, machine = thisMachine) {
  const { env, isRoot, run } = machine;
  const name = Object.keys(PACKAGE_MANAGERS).find((name) => findProgram([name], env) !== null);
  if (name === undefined || packages[name] === undefined) return null;
  const { before, install } = PACKAGE_MANAGERS[name];
  const canInstall = isRoot || (findProgram(['sudo'], env) !== null && run('sudo', ['-n', 'true']));
  const prefix = isRoot ? [name] : ['sudo', ...(canInstall ? ['-n'] : []), name];
  const commands = [...before, [...install, ...packages[name]]].map((args) => [...prefix, ...args]);
  return { name, canInstall, commands };
}

/**
 * Installs the packages of programs of which one is missing, if this user may do so without a password.
 * @returns whether all programs are there; else advice for the user
 */
export function getPrograms({ what, programs, packages }, machine = thisMachine) {
  const missing = () => programs.filter((name) => findProgram([name], machine.env) === null);
  if (missing().length === 0) return { isInstalled: true };
  const manager = packageManager(packages, machine);
  if (manager?.canInstall) {
    machine.log(`Installing ${what} with ${manager.name} ...`);
    for (const [program, ...args] of manager.commands) machine.run(program, args);
  }
  if (missing().length === 0) return { isInstalled: true };
  const commands = manager?.commands.map((command) => command.join(' ')).join(' && ');
  const how = commands ? `Run: ${commands}` : `Install ${what}.`;
  return { isInstalled: false, advice: `These programs are missing: ${missing().join(', ')}. ${how}` };
}
