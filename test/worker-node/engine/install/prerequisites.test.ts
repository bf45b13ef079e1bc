import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  findTools,
  isDiskFull,
  missingMessage,
  diskSpaceMessage,
} from '../../../../worker-node/engine/install/prerequisites.ts';
import { createPathLookup, detectPackageManager } from '../../../../worker-node/util/package-manager.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';

const { signal } = new AbortController();
let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-tools-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const works = 'exit 0';
const noPip = 'test "$1" != -m';

test('a machine with all tools lacks none', async () => {
  const env = await fakePrograms(folder, { python3: works, 'g++': works, make: works });
  expect(await findTools(env, signal)).toEqual({ python: 'python3', missing: [] });
});

test('an empty machine lacks Python, pip, a compiler and make', async () => {
  const env = await fakePrograms(folder, {});
  expect(await findTools(env, signal)).toEqual({
    python: null,
    missing: ['python', 'pip', 'compiler', 'make'],
  });
});

test('a Python without pip and programs that do not work count as missing', async () => {
  const env = await fakePrograms(folder, { python3: 'exit 1', python: noPip, 'c++': 'exit 9', make: works });
  expect(await findTools(env, signal)).toEqual({ python: 'python', missing: ['pip', 'compiler'] });
});

test('PYTHON and CXX of the user come first', async () => {
  const env = await fakePrograms(folder, { mypython: works, mycxx: works, python3: works, make: works });
  const found = await findTools({ ...env, PYTHON: 'mypython', CXX: 'mycxx' }, signal);
  expect(found).toEqual({ python: 'mypython', missing: [] });
});

test('the message has the command that installs the missing tools', async () => {
  const env = await fakePrograms(folder, { 'apt-get': works });
  expect(detectPackageManager('linux', createPathLookup(env))).toBe('apt');
  expect(detectPackageManager('darwin', () => false)).toBe('xcode');
  expect(detectPackageManager('linux', () => false)).toBe('none');
  expect(missingMessage(['compiler'], 'apt')).toBe(
    'A C++ compiler is missing. Install it with: sudo apt-get install -y g++',
  );
  expect(missingMessage(['python', 'pip', 'make'], 'apt')).toBe(
    'Python 3, pip for Python 3 and make are missing. ' +
      'Install them with: sudo apt-get install -y python3 python3-pip make',
  );
  expect(missingMessage(['pip'], 'dnf')).toContain('sudo dnf install -y python3-pip');
  expect(missingMessage(['python', 'pip'], 'brew')).toMatch(/: brew install python$/);
  expect(missingMessage(['make'], 'xcode')).toContain('xcode-select --install');
  expect(missingMessage(['python'], 'none')).toContain('package manager');
});

test.each([
  ['npm error ENOSPC: no space left on device, write', true],
  ['sh: 1: cannot create file: No space left on device', true],
  ['Error: getaddrinfo ENOTFOUND host', false],
])('a full disk is recognized by messages of programs: %s', (message, full) => {
  expect(isDiskFull(message)).toBe(full);
});

test('a disk with too little space is an error with the needed space', () => {
  expect(diskSpaceMessage('/cache', 4 * 2 ** 30, 3 * 2 ** 30)).toBeNull();
  expect(diskSpaceMessage('/cache', 2 ** 30, 3 * 2 ** 30)).toMatch(/\/cache has 1\.0 GiB free.*3\.0 GiB/);
});
