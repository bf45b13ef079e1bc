import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EpochRecord } from '../../../../shared/protocol/messages.ts';
import { syntheticDigits } from '../../../../shared/data/synthetic-digits.ts';
import { nativeCandidates } from '../../../../worker-node/engine/locate/candidates.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';
import { writeDigits } from '../../../support/idx-bytes.ts';
import { describeNative } from '../../../support/native.ts';
import {
  gradcast,
  waitForOutput,
  spawnGradcast,
  type WorkerProcess,
} from '../../../support/worker-process.ts';

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

async function readHistory(run: string): Promise<EpochRecord[]> {
  const lines = (await readFile(join(run, 'history.jsonl'), 'utf8').catch(() => '')).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as EpochRecord);
}

describeNative(
  () => {
    test(
      'the first run trains at once, and native workers replace the WebAssembly ones when the engine is there',
      { timeout: 120_000 },
      async () => {
        const env = await machine('first', 'exit 0');
        const data = join(scratch, 'digits');
        await writeDigits(data, syntheticDigits({ seed: 3, trainCount: 64, testCount: 10 }));
        const train = (out: string, ...more: string[]): WorkerProcess =>
          spawnGradcast(
            [
              'train',
              '--data',
              data,
              '--out',
              join(scratch, out),
              '--batch-size',
              '16',
              '--workers',
              '2',
              ...more,
            ],
            env,
          );
        const first = train('run-1', '--epochs', '1000000', '--install-native', 'always');
        await waitForOutput(first, /Native TensorFlow is ready/);
        await waitForOutput(
          first,
          /- local-1 left: .*\n(.*\n)*- local-2 left|- local-2 left: .*\n(.*\n)*- local-1 left/,
        );
        const trained = await readHistory(join(scratch, 'run-1'));
        await vi.waitFor(
          async () =>
            expect((await readHistory(join(scratch, 'run-1'))).length).toBeGreaterThan(trained.length + 5),
          20_000,
        );
        first.kill('SIGINT');
        expect(await first.ended, first.output()).toBe(130);
        const order = [
          /\+ local-\d joined: wasm on/,
          /Epoch 1\/1000000/,
          /Installing native TensorFlow while training continues/,
          /\+ local-native-\d joined: tensorflow on/,
          // Another process reports this, which may be printed later.
          /- local-\d left: /,
        ].map((pattern) => first.output().search(pattern));
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect(order).not.toContain(-1);

        // An accuracy is a number of samples divided by 64, so no sample was lost or counted twice.
        const history = await readHistory(join(scratch, 'run-1'));
        expect(history.map(({ epoch }) => epoch)).toEqual(history.map((_, i) => i + 1));
        for (const { accuracy } of history)
          expect((accuracy ?? NaN) * 64).toBeCloseTo(Math.round((accuracy ?? NaN) * 64), 6);

        const second = train('run-2', '--epochs', '1');
        expect(await second.ended, second.output()).toBe(0);
        expect(second.output()).toMatch(/\+ local(-1)? joined: tensorflow on/);
        expect(second.output()).not.toMatch(/No native|Installing/);
      },
    );

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
