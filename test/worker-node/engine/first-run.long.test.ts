import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drawDigits } from '../../../shared/data/drawn-digits.ts';
import { nativeCandidates } from '../../../worker-node/engine/candidates.ts';
import { fakePrograms } from '../../support/fake-programs.ts';
import { writeDigits } from '../../support/idx-bytes.ts';
import { describeNative } from '../../support/native.ts';
import { gradcast, spawnGradcast } from '../../support/worker-process.ts';

// Everything here is real but npm, which brings a copy of this machine's own native engine instead of another.
const own = nativeCandidates().find(
  ({ missing, folder, variant }) => missing === null && variant === 'cpu' && folder,
);

let scratch: string;
beforeAll(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-first-'))));
afterAll(() => rm(scratch, { recursive: true, force: true, maxRetries: 3 }));

/**
 * A machine with a registry and a host for the package's own download.
 * @param download what happens while that is under way
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

/** Starts an installation and kills its process group as soon as it says that. */
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
    test(
      'the first run on a machine gets the engine and trains with it; the second finds it',
      { timeout: 120_000 },
      async () => {
        const env = await machine('first', 'exit 0');
        const data = join(scratch, 'digits');
        await writeDigits(data, drawDigits({ seed: 3, trainCount: 64, testCount: 10 }));
        const train = async (out: string): Promise<string> => {
          const options = ['--data', data, '--out', join(scratch, out), '--epochs', '1', '--workers', '1'];
          const run = spawnGradcast(['train', ...options], env);
          expect(await run.ended, run.output()).toBe(0);
          return run.output();
        };
        const first = await train('run-1');
        expect(first).toMatch(
          /No native TensorFlow here yet.*\n(.*\n)*It works: .*\n(.*\n)*\+ local joined: tensorflow on/,
        );
        const second = await train('run-2');
        expect(second).toContain('+ local joined: tensorflow on');
        expect(second).not.toMatch(/No native|Installing/);
      },
    );

    test('an installation that was killed, twice, is done by the next', { timeout: 120_000 }, async () => {
      const env = await machine('killed', `test -e "$HOME/on" || { : > "$HOME/on"; sleep 20; exit 1; }`);
      const cacheDir = join(scratch, 'killed', 'cache', 'gradcast', 'engine');
      expect(await killedAt("The package's own download", env)).toBe('SIGKILL');
      await writeFile(join(scratch, 'killed', 'on'), '');
      expect((await readdir(cacheDir)).filter((name) => !name.startsWith('.'))).toEqual([]);
      expect(await killedAt('Trying a training step', env)).toBe('SIGKILL');
      expect((await readdir(cacheDir)).filter((name) => !name.startsWith('.'))).toEqual([]);
      const again = spawnGradcast(['engine', 'install'], env);
      expect(await again.ended, again.output()).toBe(0);
      expect(again.output()).toContain('Removed what a broken-off installation had left');
      expect(again.output()).toContain('It works');
      expect(await readdir(cacheDir)).toHaveLength(1);
    });
  },
  own === undefined ? 'no engine for the CPU in the cache' : null,
);
