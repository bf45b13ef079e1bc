import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { syntheticDigits } from '../../../../shared/data/synthetic-digits.ts';
import { nativeCandidates } from '../../../../worker-node/engine/locate/candidates.ts';
import { currentTarget } from '../../../../worker-node/engine/locate/target.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';
import { writeDigits } from '../../../support/idx-bytes.ts';
import {
  gradcast,
  waitForOutput,
  spawnGradcast,
  spawnProgram,
  type WorkerProcess,
} from '../../../support/worker-process.ts';

/** Fake npm that installs the package; the package's own download finds no host. */
const OFFLINE_NPM =
  'echo "$1" >> "$HOME/npm-calls"; test "$1" = install || { echo "Error: no host" >&2; exit 1; }';
const works = 'exit 0';

let scratch: string;
let data: string;
/** Files of one test. */
let home: string;
let runs = 0;
let cacheDir: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'gradcast-install-'));
  data = join(scratch, 'digits');
  await writeDigits(data, syntheticDigits({ seed: 3, trainCount: 64, testCount: 10 }));
});
afterAll(() => rm(scratch, { recursive: true, force: true, maxRetries: 3 }));
beforeEach(async () => {
  home = await mkdtemp(join(scratch, 'home-'));
  cacheDir = join(home, 'cache', 'gradcast', 'engine');
});

/** Environment in which only these programs are installed. */
async function machine(programs: Readonly<Record<string, string>>): Promise<NodeJS.ProcessEnv> {
  const env = await fakePrograms(join(home, 'bin'), programs);
  return { ...env, HOME: home, XDG_CACHE_HOME: join(home, 'cache') };
}

const trainArgs = (): string[] => [
  ...['train', '--data', data, '--out', join(home, `run-${++runs}`)],
  ...['--epochs', '2', '--workers', '2', '--batch-size', '32'],
];

async function outputOf(args: readonly string[], env: NodeJS.ProcessEnv): Promise<[unknown, string]> {
  const run = spawnGradcast(args, env);
  return [await run.ended, run.output()];
}

const npmCalls = async (): Promise<number> =>
  (await readFile(join(home, 'npm-calls'), 'utf8').catch(() => '')).split('\n').length - 1;

// Only Linux has all install methods; and an engine in the installed packages would prevent an installation.
const { platform, arch } = currentTarget();
const canInstall =
  platform === 'linux' &&
  arch === 'x64' &&
  nativeCandidates(tmpdir(), currentTarget(), {}).every(({ missing }) => missing !== null);

describe.runIf(canInstall)('without a native engine', { timeout: 90_000 }, () => {
  test('each method is reported with its reason, and only a note of the failure is left', async () => {
    const [code, output] = await outputOf(
      ['engine', 'install'],
      await machine({ npm: OFFLINE_NPM, 'apt-get': works }),
    );
    expect(code).toBe(1);
    for (const words of ['Error: no host', 'Python 3, pip', 'apt-get install -y python3', 'WebAssembly']) {
      expect(output).toContain(words);
    }
    expect(await readdir(cacheDir)).toEqual(['.failed.json']);
  });

  test.each([
    ['no Python', { 'g++': works, make: works }, /Python 3 and pip for Python 3 are missing\. Install them/],
    ['no compiler', { python3: works, make: works }, /A C\+\+ compiler is missing\. Install it/],
  ])('%s: the installation fails, and says why', async (_, programs, sentence) => {
    const [code, output] = await outputOf(
      ['engine', 'install'],
      await machine({ npm: OFFLINE_NPM, ...programs }),
    );
    expect(code, output).toBe(1);
    expect(output).toMatch(sentence);
  });

  test('a failed installation is not soon repeated, except by engine install', async () => {
    const env = await machine({ npm: 'echo "$1" >> "$HOME/npm-calls"; echo "Error: no registry"; exit 1' });
    const first = await outputOf(['engine', 'install', '--if-possible'], env);
    const second = await outputOf(['engine', 'install', '--if-possible'], env);
    expect([first[0], second[0]]).toEqual([0, 0]);
    expect(second[1]).toMatch(/\(tried 0 min ago\): npm could not install .*no registry.*engine install\n/);
    expect(await npmCalls()).toBe(1);
    await outputOf(['engine', 'install'], env);
    expect(await npmCalls()).toBe(2);
  });

  test.each<[string, string[]]>([
    ['by default', []],
    ['with --engine wasm', ['--engine', 'wasm']],
    ['in exact mode', ['--exact']],
  ])('%s a run installs nothing and mentions nothing', async (_, options) => {
    const env = await machine({ npm: OFFLINE_NPM });
    const [code, output] = await outputOf([...trainArgs(), ...options], env);
    expect(code, output).toBe(0);
    expect(output).not.toMatch(/native|npm|engine/i);
    expect(existsSync(cacheDir)).toBe(false);
    expect(await npmCalls()).toBe(0);
  });

  test('a cache folder that is not writable is named', async () => {
    const env = await machine({});
    await writeFile(join(home, 'cache'), '');
    const [code, output] = await outputOf(['engine', 'install'], env);
    expect(code).toBe(1);
    expect(output).toMatch(/cache folder .*cache.* is not writable \(a part of its path is a file\)/);
  });

  test.each<[string, NodeJS.Signals, () => string[]]>([
    ['Ctrl-C', 'SIGINT', () => ['engine', 'install']],
    ['the end of the terminal', 'SIGHUP', () => ['engine', 'install']],
    ['the end of the terminal', 'SIGHUP', () => ['worker', 'ws://127.0.0.1:1', '--engine', 'native']],
  ])('%s ends the installation with 130, and leaves nothing', async (_, signal, args) => {
    const run = spawnGradcast(args(), await machine({ npm: 'exec /bin/sleep 60' }));
    await waitForOutput(run, /Installing @tensorflow/);
    run.kill(signal);
    expect(await run.ended, run.output()).toBe(130);
    expect(await readdir(cacheDir)).toEqual([]);
  });
});

describe.runIf(canInstall && mountsArePermitted())('on a file system', { timeout: 90_000 }, () => {
  /** Installation whose cache is on a file system of its own. */
  async function installWithCacheOn(options: string, env: NodeJS.ProcessEnv): Promise<WorkerProcess> {
    await mkdir(join(home, 'cache'));
    const script = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"';
    return spawnProgram(
      [
        ...([
          '/usr/bin/env',
          'unshare',
          '-rm',
          'sh',
          '-c',
          script,
          'sh',
          options,
          join(home, 'cache'),
        ] as const),
        ...['/usr/bin/env', `PATH=${env.PATH ?? ''}`, process.execPath, gradcast, 'engine', 'install'],
      ],
      { ...env, PATH: process.env.PATH },
    );
  }

  test.each([
    ['that is read-only', 'ro', /The cache folder .* is not writable .*read-only.*XDG_CACHE_HOME/],
    ['that is small', 'size=64m', /0\.1 GiB free, and the installation needs 3\.0 GiB.*XDG_CACHE_HOME/],
    ['that is full half-way', 'size=4g,nr_inodes=60', /The disk of .* is full\. Free space.*XDG_CACHE_HOME/],
  ])('%s: the installation fails, and says why', async (_, options, sentence) => {
    // Writes about as many files as the real one.
    const npm =
      'for a in 0 1 2 3 4 5 6 7 8 9; do for b in 0 1 2 3 4 5 6 7 8 9; do echo > "f$a$b" || exit 1; done; done';
    const run = await installWithCacheOn(options, await machine({ npm }));
    expect(await run.ended, run.output()).toBe(1);
    expect(run.output()).toMatch(sentence);
  });
});

function mountsArePermitted(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs none /tmp'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
