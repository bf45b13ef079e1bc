import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleCli } from '../../scripts/build.js';

test('bin/cli.cjs matches its sources', async () => {
  const { text, imports } = await bundleCli();
  expect(readFileSync('bin/cli.cjs', 'utf8') === text).toBe(true);
  // The rest of each command comes from dist/, once a clone has installed and built what it lacks.
  expect(imports).toContain('coordinator/commands/run-training.ts');
  expect(imports.filter((path) => path.startsWith('cli/'))).toEqual([]);
  expect(text.length).toBeLessThan(150_000);
});

describe('in a fresh clone without packages', () => {
  let clone: string;
  beforeAll(() => {
    clone = mkdtempSync(join(tmpdir(), 'gradcast-bare-'));
    for (const name of ['bin', 'scripts', 'package.json', 'package-lock.json']) {
      cpSync(name, join(clone, name), { recursive: true });
    }
  });
  afterAll(() => rmSync(clone, { recursive: true, force: true }));

  const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    // Without npm on the PATH, an installation would fail.
    spawnSync(process.execPath, args, { cwd: clone, encoding: 'utf8', env: { PATH: '' } });

  test.each([
    ['--help', /Usage: gradcast/],
    ['--version', /^\d+\.\d+\.\d+\n$/],
    ['train --help', /Examples:\n {2}gradcast train/],
    ['plan --workers 8', /8 workers/],
  ])('%s installs nothing', (args, output) => {
    const { status, stdout, stderr } = run('bin/gradcast.js', ...args.split(' '));
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(output);
    expect(existsSync(join(clone, 'node_modules'))).toBe(false);
  });

  test('npm start -- --help installs nothing either', () => {
    const { status, stdout } = run('scripts/start.js', '--help');
    expect(status).toBe(0);
    expect(stdout).toContain('Usage: gradcast train');
  });

  test('a wrong option is an error before packages are installed', () => {
    const { status, stderr } = run('bin/gradcast.js', 'train', '--epoch', '3');
    expect(status).toBe(1);
    expect(stderr).toMatch(/unknown option '--epoch'/);
  });

  test.each<[string, (packages: Record<string, { version?: string }>) => void, string | null]>([
    ['all packages', () => undefined, null],
    [
      'one package less',
      (packages) => void Reflect.deleteProperty(packages, 'node_modules/ws'),
      '(npm install --no-save)',
    ],
    [
      'another version of a package',
      (packages) => void (packages['node_modules/ws'] = { version: '0.0.1' }),
      '(npm install --no-save)',
    ],
  ])('a command detects missing packages if node_modules has %s', (_, change, installs) => {
    const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Record<string, { version?: string }>;
    };
    change(lock.packages);
    mkdirSync(join(clone, 'node_modules'));
    writeFileSync(join(clone, 'node_modules/.package-lock.json'), JSON.stringify(lock));
    const { stdout } = run('bin/gradcast.js', 'train');
    rmSync(join(clone, 'node_modules'), { recursive: true });
    if (installs === null) expect(stdout).toBe('');
    else expect(stdout).toContain(`Installing missing packages ${installs}`);
  });

  test.each([
    ['train', ['bin/gradcast.js', 'train']],
    ['npm start', ['scripts/start.js']],
    ['npm test', ['scripts/test.js']],
    ['npm run test:long', ['scripts/test.js', '--long']],
    ['npm run lint', ['scripts/checks.js', 'lint']],
    ['npm run build', ['scripts/build.js']],
    ['npm run bench', ['scripts/bench.js']],
    ['the script that gets a browser', ['scripts/get-browser.js']],
  ])('%s installs packages before it needs them', (_, args) => {
    const { status, stdout, stderr } = run(...args);
    expect(status).toBe(1);
    expect(stdout).toBe('Installing missing packages (npm ci) ...\n');
    expect(stderr).toContain('npm cannot be started');
  });
});
