import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticDigits } from '../../../../shared/data/synthetic-digits.ts';
import { nativeCandidates } from '../../../../worker-node/engine/locate/candidates.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';
import { writeDigits } from '../../../support/idx-bytes.ts';
import { describeNative } from '../../../support/native.ts';
import { gradcast, spawnGradcast } from '../../../support/worker-process.ts';

// All programs are real but npm, which installs a copy of this machine's own native engine.
const own = nativeCandidates().find(
  ({ missing, folder, variant }) => missing === null && variant === 'cpu' && folder,
);

let scratch: string;
beforeAll(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-first-'))));
afterAll(() => rm(scratch, { recursive: true, force: true, maxRetries: 3 }));

/**
 * Environment with a registry and a host for the package's own download.
 * @param download called during that download
 */
async function machine(name: string, download: string): Promise<NodeJS.ProcessEnv> {
  if (own?.folder === undefined) throw new Error('There is no native engine for the CPU here.');
  const home = join(scratch, name);
  await mkdir(home);
  const from = join(own.folder, 'node_modules');
  const copy = `{ cp -alL "${from}" . 2>/dev/null || { rm -rf node_modules; cp -aL "${from}" .; }; }`;
  const npm = `PATH=/usr/bin:/bin; if [ "$1" = install ]; then ${copy}; else ${download}; fi`;
  return {
    ...(await fakePrograms(join(home, 'bin'), { npm })),
    HOME: home,
    XDG_CACHE_HOME: join(home, 'cache'),
  };
}

/** Starts an installation and kills its process group as soon as it prints a text. */
function killedAt(words: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  const child = spawn(process.execPath, [gradcast, 'engine', 'install'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    env,
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output.includes(words)) process.kill(-(child.pid ?? 0), 'SIGKILL');
  });
  return new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
}

describeNative(
  () => {
    test('a run uses the engine that was installed', { timeout: 120_000 }, async () => {
      const env = await machine('first', 'exit 0');
      const data = join(scratch, 'digits');
      await writeDigits(data, syntheticDigits({ seed: 3, trainCount: 64, testCount: 10 }));
      const install = spawnGradcast(['engine', 'install'], env);
      expect(await install.ended, install.output()).toBe(0);
      const options = ['--data', data, '--out', join(scratch, 'run'), '--epochs', '1', '--workers', '2'];
      const run = spawnGradcast(['train', ...options], env);
      expect(await run.ended, run.output()).toBe(0);
      expect(run.output()).toMatch(/\+ local-\d joined: tensorflow on/);
      expect(run.output()).not.toMatch(/No native|Installing|wasm on/);
    });

    test('the next installation succeeds after two that were killed', { timeout: 120_000 }, async () => {
      const env = await machine('killed', `test -e "$HOME/on" || { : > "$HOME/on"; sleep 20; exit 1; }`);
      const cacheDir = join(scratch, 'killed', 'cache', 'gradcast', 'engine');
      expect(await killedAt("The package's own download", env)).toBe('SIGKILL');
      await writeFile(join(scratch, 'killed', 'on'), '');
      expect((await readdir(cacheDir)).filter((name) => !name.startsWith('.'))).toEqual([]);
      expect(await killedAt('Trying a training step', env)).toBe('SIGKILL');
      expect((await readdir(cacheDir)).filter((name) => !name.startsWith('.'))).toEqual([]);
      const again = spawnGradcast(['engine', 'install'], env);
      expect(await again.ended, again.output()).toBe(0);
      expect(again.output()).toContain('Removed the files of an interrupted installation');
      expect(again.output()).toContain('Verified');
      expect(await readdir(cacheDir)).toHaveLength(1);
    });
  },
  own === undefined ? 'no engine for the CPU in the cache' : null,
);
