// Finds or installs the Chromium that tests run in.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { findProgram, isProgram, packageManager, thisMachine as anyMachine } from './package-manager.js';

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
/** Packages with Chromium, for each package manager. */
const PACKAGES = { 'apt-get': ['chromium'], dnf: ['chromium'], apk: ['chromium'], pacman: ['chromium'] };

/** This machine. */
const thisMachine = {
  ...anyMachine,
  usualPaths: [chromium.executablePath(), ...USUAL_PATHS],
  /** Whether the browser starts: Playwright's may miss libraries of the system. */
  starts: (path) => spawnSync(path, ['--version'], { stdio: 'ignore', timeout: 60_000 }).status === 0,
  /** Playwright's own installer. */
  playwright: [
    process.execPath,
    join(dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')), 'cli.js'),
  ],
};

/** Path of an installed browser: that of GRADCAST_CHROMIUM, else the first on the PATH, else the first at a usual path. */
export function findBrowser({ env, usualPaths } = thisMachine) {
  const named = env.GRADCAST_CHROMIUM;
  if (named) return isProgram(named) ? named : null;
  return findProgram(NAMES, env) ?? usualPaths.find(isProgram) ?? null;
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
  const manager = packageManager(PACKAGES, machine);
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
