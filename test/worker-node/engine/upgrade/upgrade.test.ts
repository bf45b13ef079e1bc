import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineChoice, InstallNative } from '../../../../shared/engine/engine-choice.ts';
import { engineCacheKey, recordFailure } from '../../../../worker-node/engine/install/failure.ts';
import { currentTarget } from '../../../../worker-node/engine/locate/target.ts';
import type { BackgroundInstall } from '../../../../worker-node/engine/upgrade/background-install.ts';
import { runWithEngineUpgrade } from '../../../../worker-node/engine/upgrade/run-with-upgrade.ts';
import {
  isWorthInstalling,
  canInstall,
  RunForecast,
  detectProcessor,
} from '../../../../worker-node/engine/upgrade/install-decision.ts';
import { parseWorkerProcessMessage } from '../../../../worker-node/processes/messages.ts';
import { manualClock, type ManualClock } from '../../../support/manual-clock.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-upgrade-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe('native TensorFlow is installed during a run', () => {
  test('if that shortens the run by half a minute and a tenth', () => {
    // 180 s of installation at 0.7 of the steps, then 1.7 or 1.2 times the steps: a tenth is gained after 5.66 and 18.75 minutes.
    const isWorth = (minutes: number): boolean => isWorthInstalling('avx512', minutes * MINUTE_MS);
    expect([1, 5, 5.6, 5.7, 60].map(isWorth)).toEqual([false, false, false, true, true]);
    const isWorthAvx2 = (minutes: number): boolean => isWorthInstalling('avx2', minutes * MINUTE_MS);
    expect([5.7, 18.7, 18.8, 60].map(isWorthAvx2)).toEqual([false, false, true, true]);
    expect(isWorthInstalling('other', 1_000 * HOUR_MS)).toBe(false);
    expect(isWorthInstalling('avx512', 0)).toBe(false);
  });

  test('depending on the instruction sets of the processor', async () => {
    const read = async (text: string) => {
      const file = join(folder, 'cpuinfo');
      await writeFile(file, text);
      return detectProcessor(file);
    };
    expect(await read('processor : 0\nflags\t\t: fpu avx avx2 fma avx512f\n')).toBe('avx512');
    expect(await read('processor : 0\nflags\t\t: fpu avx avx2 fma\n')).toBe('avx2');
    expect(await read('processor : 0\nflags\t\t: fpu avx avx2\n')).toBe('other');
    expect(await read('processor : 0\nFeatures : fp asimd\n')).toBe('other');
    expect(detectProcessor(join(folder, 'missing'))).toBe('other');
  });

  const target = { ...currentTarget(), platform: 'linux', arch: 'x64' } as const;
  const ask = (
    engine: EngineChoice,
    installNative: InstallNative,
    { nowMs = 0, on = target }: { nowMs?: number; on?: ReturnType<typeof currentTarget> } = {},
  ) => canInstall({ engine, installNative }, { cacheDir: folder, nowMs, target: on, env: {} });

  test('unless the user declines or the platform is not supported', async () => {
    expect(await ask('auto', 'auto')).toBe(true);
    expect(await ask('auto', 'never')).toBe(false);
    expect(await ask('wasm', 'always')).toBe(false);
    expect(await ask('native', 'always')).toBe(false);
    expect(await ask('auto', 'always', { on: { ...target, platform: 'win32' } })).toBe(false);
  });

  test('but not within hours of a failure, unless the user requests it', async () => {
    await recordFailure(folder, { key: engineCacheKey(target, 'cpu'), atMs: HOUR_MS, why: 'no host' });
    expect(await ask('auto', 'auto', { nowMs: 3 * HOUR_MS })).toBe(false);
    expect(await ask('auto', 'always', { nowMs: 3 * HOUR_MS })).toBe(true);
    expect(await ask('auto', 'auto', { nowMs: 14 * HOUR_MS })).toBe(true);
  });
});

describe('the remaining time of a run', () => {
  test('is forecast from thirty steps and five seconds', () => {
    const progress = new RunForecast();
    progress.onJoined(1_000);
    expect(progress.onComputed(100, 1_000)).toBeNull();
    expect(progress.onComputed(129, 30_000)).toBeNull();
    expect(progress.onComputed(130, 31_000)).toBe(869 * 1_000);
    expect(progress.onComputed(999, 900_000)).toBe(0);
    const quick = new RunForecast();
    quick.onJoined(1_000);
    quick.onComputed(0, 0);
    expect(quick.onComputed(40, 4_000)).toBeNull();
    expect(quick.onComputed(50, 5_000)).toBe(949 * 100);
  });

  test('is measured anew after a step back, as in a resumed run', () => {
    const progress = new RunForecast();
    progress.onJoined(1_000);
    progress.onComputed(500, 0);
    expect(progress.onComputed(100, 50_000)).toBeNull();
    expect(progress.onComputed(200, 60_000)).toBe(799 * 100);
  });

  test('is not known in exact mode', () => {
    const progress = new RunForecast();
    expect(progress.isEngineFixed).toBe(true);
    progress.onJoined(null);
    progress.onComputed(0, 0);
    expect(progress.onComputed(100, 100_000)).toBeNull();
    expect(progress.isEngineFixed).toBe(true);
    progress.onJoined(10);
    expect(progress.isEngineFixed).toBe(false);
  });
});

test.each([
  null,
  'joined',
  {},
  { type: 'joined' },
  { type: 'computed', step: -1 },
  { type: 'computed', step: 0.5 },
])('%j is no valid message of a worker process', (message) =>
  expect(parseWorkerProcessMessage(message)).toBeNull(),
);

interface RunOptions {
  /** Null in exact mode. */
  readonly totalSteps?: number | null;
  /** Steps of the run. */
  readonly steps?: number;
  /** Line after which the user stops the run. */
  readonly stopOn?: RegExp | null;
  readonly clock?: ManualClock;
}

describe('workers with WebAssembly', { timeout: 20_000 }, () => {
  /**
   * Runs worker processes with programs by their names; those with WebAssembly compute until their stdin closes.
   * @param nativeProgram program of native workers
   */
  async function run(
    nativeProgram: string,
    result: BackgroundInstall,
    { totalSteps = 1_000_000, steps = Infinity, stopOn = null, clock = manualClock() }: RunOptions = {},
  ): Promise<{ code: number; notes: string[]; installs: number }> {
    const file = join(folder, 'worker.cjs');
    await writeFile(
      file,
      `const { existsSync, writeFileSync } = require('node:fs');
       const name = process.argv[process.argv.indexOf('--name') + 1];
       const left = (name) => ${JSON.stringify(folder)} + '/left-' + name;
       // This process ends with the test.
       process.on('disconnect', () => process.exit(1));
       if (name.startsWith('native')) { ${nativeProgram} }
       else {
         process.stdin.on('close', () => { writeFileSync(left(name), ''); process.exit(0); }).resume();
         process.send({ type: 'joined', totalSteps: ${String(totalSteps)} });
         let step = 0;
         setInterval(() => {
           if (step === ${steps}) process.exit(0);
           process.send({ type: 'computed', step: step++ });
         }, 1);
       }`,
    );
    const notes: string[] = [];
    const stop = new AbortController();
    let installs = 0;
    const spec = (name: string) => ({ name, env: {} });
    const code = await runWithEngineUpgrade({
      workers: ['wasm-1', 'wasm-2'].map(spec),
      nativeWorkers: ['native-1', 'native-2'].map(spec),
      command: [process.execPath, file],
      env: process.env,
      signal: stop.signal,
      note: (line) => {
        notes.push(line);
        if (stopOn?.test(line) === true) stop.abort();
      },
      shouldInstall: () => true,
      install: () => {
        installs++;
        return Promise.resolve(result);
      },
      clock,
    });
    return { code, notes, installs };
  }

  /** Program that computes, and ends when both other workers have left. */
  const COMPUTES = `process.send({ type: 'computed', step: 9 });
    setInterval(() => { if (existsSync(left('wasm-1')) && existsSync(left('wasm-2'))) process.exit(5); }, 5);`;

  test('leave when all native workers have computed, whose exit code counts', async () => {
    const clock = manualClock();
    const joins = `process.send({ type: 'joined', totalSteps: 9 });`;
    const { code, notes, installs } = await run(`${joins} ${COMPUTES}`, { done: true }, { clock });
    expect(code).toBe(5);
    // A timer would keep this process alive after the run.
    expect(clock.pending).toBe(0);
    expect(installs).toBe(1);
    expect(notes).toEqual([
      expect.stringMatching(/^Installing native TensorFlow while training continues/),
      expect.stringMatching(/^Native TensorFlow is ready/),
    ]);
  });

  test('stay until the last native worker has computed', async () => {
    const early = join(folder, 'early');
    const { code } = await run(
      `const first = ${JSON.stringify(join(folder, 'first'))};
       if (name === 'native-1') process.send({ type: 'computed', step: 9 }, () => writeFileSync(first, ''));
       let looks = 0;
       setInterval(() => {
         if (name === 'native-2' && existsSync(first) && looks < 60) {
           if (existsSync(left('wasm-1'))) writeFileSync(${JSON.stringify(early)}, '');
           if (++looks === 60) process.send({ type: 'computed', step: 9 });
         }
         if (existsSync(left('wasm-1')) && existsSync(left('wasm-2'))) process.exit(5);
       }, 5);`,
      { done: true },
    );
    expect(code).toBe(5);
    expect(existsSync(early)).toBe(false);
  });

  test('leave 20 s after native workers have joined, even if one computes nothing', async () => {
    const clock = manualClock();
    const turn = setInterval(() => void clock.advance(1_000), 5);
    const { code } = await run(
      `process.send({ type: 'joined', totalSteps: 9 });
       setInterval(() => { if (existsSync(left('wasm-1')) && existsSync(left('wasm-2'))) process.exit(5); }, 5);`,
      { done: true },
      { clock },
    );
    clearInterval(turn);
    expect(code).toBe(5);
  });

  test('stay if native workers end before they compute', async () => {
    const { code, notes } = await run('process.exit(7);', { done: true }, { stopOn: /ended before/ });
    expect(code).toBe(0);
    expect(notes.at(-1)).toBe('The native workers ended before they computed; the WebAssembly workers stay.');
  });

  test('stay if the installation fails, with its reason', async () => {
    const failed = { done: false, why: 'No compiler.' } as const;
    const { code, notes } = await run(COMPUTES, failed, { stopOn: /could not/ });
    expect(code).toBe(0);
    expect(notes.at(-1)).toBe(
      'Native TensorFlow could not be installed: No compiler. The WebAssembly workers stay.',
    );
  });

  test('are not replaced in exact mode', async () => {
    const { code, notes, installs } = await run(COMPUTES, { done: true }, { totalSteps: null, steps: 50 });
    expect({ code, notes, installs }).toEqual({ code: 0, notes: [], installs: 0 });
  });

  test('end native workers that have not computed when the run is over', async () => {
    const { code, notes } = await run(
      `process.stdin.on('close', () => process.exit(0)).resume();`,
      { done: true },
      { steps: 500 },
    );
    expect(code).toBe(0);
    expect(notes).toHaveLength(1);
  });
});
