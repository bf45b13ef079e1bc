// Finds or installs the Chromium that tests run in.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const USUAL_PATHS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
];
/** Commands with which each package manager installs Chromium. */
const PACKAGE_MANAGERS = {
  'apt-get': [
    ['update', '-q'],
    ['install', '-y', '-q', '--no-install-recommends', 'chromium'],
  ],
  dnf: [['install', '-y', '-q', 'chromium']],
  apk: [['add', '-q', 'chromium']],
  pacman: [['-Sy', '--noconfirm', 'chromium']],
};
const TIMEOUT_MS = 10 * 60_000;

/** This machine. */
const thisMachine = {
  env: process.env,
  usualPaths: [chromium.executablePath(), ...USUAL_PATHS],
  isRoot: process.getuid?.() === 0,
  run: (program, args) =>
    spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], timeout: TIMEOUT_MS }).status === 0,
  /** Whether the browser starts: Playwright's may miss libraries of the system. */
  starts: (path) => spawnSync(path, ['--version'], { stdio: 'ignore', timeout: 60_000 }).status === 0,
  /** Playwright's own installer. */
  playwright: [
    process.execPath,
    join(dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')), 'cli.js'),
  ],
  log: (line) => console.log(line),
};

/** Path of an installed browser: that of GRADCAST_CHROMIUM, else the first on the PATH, else the first at a usual path. */
export function findBrowser({ env, usualPaths } = thisMachine) {
  const onPath = (env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const named = env.GRADCAST_CHROMIUM;
  if (named) return isProgram(named) ? named : null;
  return [...onPath, ...usualPaths].find(isProgram) ?? null;
}

/**
 * Finds a browser that starts, or installs one: with Playwright, else with the system's package manager if this user may
 * run it without a password.
 * @returns its path, or advice for the user
 */
export function getBrowser(machine = thisMachine) {
  const found = () => {
    const path = findBrowser(machine);
    return path !== null && machine.starts(path) ? path : null;
  };
  const path = found();
  if (path !== null) return { path };
  const { env, log, run, playwright } = machine;
  if (env.GRADCAST_CHROMIUM) {
    return { advice: `GRADCAST_CHROMIUM names ${env.GRADCAST_CHROMIUM}, which does not start.` };
  }
  log('No Chromium found: installing it with Playwright ...');
  const [program, ...first] = playwright;
  run(program, [...first, 'install', '--no-shell', 'chromium']);
  const manager = packageManager(machine);
  if (found() === null && manager?.canInstall) {
    log(`Installing Chromium with ${manager.name} ...`);
    for (const command of manager.commands) run(command[0], command.slice(1));
  }
  const got = found();
  if (got !== null) return { path: got };
  const commands = manager?.commands.map((command) => command.join(' ')).join(' && ');
  const what = commands ? `Run: ${commands}` : 'Install Chromium or Chrome';
  return {
    advice: `Chromium could not be installed. ${what}\nor set GRADCAST_CHROMIUM=/path to an installed browser.`,
  };
}

function packageManager({ env, isRoot, run }) {
  const has = (name) =>
    (env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && isProgram(join(folder, name)));
  const name = Object.keys(PACKAGE_MANAGERS).find(has);
  if (name === undefined) return null;
  const canInstall = isRoot || (has('sudo') && run('sudo', ['-n', 'true']));
  const prefix = isRoot ? [name] : ['sudo', ...(canInstall ? ['-n'] : []), name];
  return { name, canInstall, commands: PACKAGE_MANAGERS[name].map((args) => [...prefix, ...args]) };
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
