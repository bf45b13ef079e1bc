// The Chromium that tests run in.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
];
/** How the system's package managers are asked; each list is one command. */
const PACKAGE_MANAGERS = {
  'apt-get': [
    ['update', '-q'],
    ['install', '-y', '-q', '--no-install-recommends', 'chromium'],
  ],
  dnf: [['install', '-y', '-q', 'chromium']],
  apk: [['add', '-q', 'chromium']],
  pacman: [['-Sy', '--noconfirm', 'chromium']],
};
const WITHIN_MS = 10 * 60_000;

/** What the machine has, and what may be done to it. */
const here = {
  env: process.env,
  places: [chromium.executablePath(), ...PLACES],
  isRoot: process.getuid?.() === 0,
  run: (program, args) =>
    spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], timeout: WITHIN_MS }).status === 0,
  /** Whether it is a whole browser: one of Playwright's may lack the system's libraries. */
  starts: (path) => spawnSync(path, ['--version'], { stdio: 'ignore', timeout: 60_000 }).status === 0,
  /** Playwright's own installer. */
  playwright: [
    process.execPath,
    join(dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')), 'cli.js'),
  ],
  say: (line) => console.log(line),
};

/**
 * @returns the path of a browser that is there: what GRADCAST_CHROMIUM names, else what the PATH has, else what is where
 *   browsers are wont to be; null if there is none
 */
export function findBrowser({ env, places } = here) {
  const onPath = (env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const named = env.GRADCAST_CHROMIUM;
  if (named) return isProgram(named) ? named : null;
  return [...onPath, ...places].find(isProgram) ?? null;
}

/**
 * Finds a browser that starts, else gets one: Playwright's, else the system's package manager's where this user may ask it.
 * @returns its path, or what to do
 */
export function getBrowser(machine = here) {
  const found = () => {
    const path = findBrowser(machine);
    return path !== null && machine.starts(path) ? path : null;
  };
  const path = found();
  if (path !== null) return { path };
  const { env, say, run, playwright } = machine;
  if (env.GRADCAST_CHROMIUM) {
    return { advice: `GRADCAST_CHROMIUM names ${env.GRADCAST_CHROMIUM}, which is no browser that starts.` };
  }
  say("No Chromium here: getting Playwright's ...");
  const [program, ...first] = playwright;
  run(program, [...first, 'install', '--no-shell', 'chromium']);
  const manager = packageManager(machine);
  if (found() === null && manager?.may) {
    say(`Asking ${manager.name} for one ...`);
    for (const command of manager.commands) run(command[0], command.slice(1));
  }
  const got = found();
  if (got !== null) return { path: got };
  const commands = manager?.commands.map((command) => command.join(' ')).join(' && ');
  const what = commands ? `Type: ${commands}` : 'Install Chromium or Chrome';
  return { advice: `No Chromium could be had. ${what}\nor name one that is there: GRADCAST_CHROMIUM=/path` };
}

function packageManager({ env, isRoot, run }) {
  const has = (name) =>
    (env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && isProgram(join(folder, name)));
  const name = Object.keys(PACKAGE_MANAGERS).find(has);
  if (name === undefined) return null;
  const may = isRoot || (has('sudo') && run('sudo', ['-n', 'true']));
  const prefix = isRoot ? [name] : ['sudo', ...(may ? ['-n'] : []), name];
  return { name, may, commands: PACKAGE_MANAGERS[name].map((args) => [...prefix, ...args]) };
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
