import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Comparison, Config } from '../../../worker-node/autotune/compare-configs.ts';
import { compareConfigs } from '../../../worker-node/autotune/compare-configs.ts';
import {
  chooseWorkerCount,
  type MachineProfile,
  type WorkerCount,
} from '../../../worker-node/autotune/choose-worker-count.ts';

let folder: string;
let notes: string[];
let compared: [Config, Config][];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gradcast-shape-'));
  [notes, compared] = [[], []];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Profile of a machine with four cores and a native engine, on which steps take the given times. */
const machine = (result: Comparison | Error, options: Partial<MachineProfile> = {}): MachineProfile => ({
  choice: 'auto',
  note: (line) => void notes.push(line),
  cores: 4,
  memoryBytes: 16 * 2 ** 30,
  isBusy: false,
  engineKey: 'tfjs-node 4',
  cacheFile: join(folder, 'cache', 'shapes.json'),
  compare: (one, other) => {
    compared.push([one, other]);
    return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
  },
  ...options,
});
const times = (together: number, apart: number): Comparison => ({ gpu: false, stepMs: [together, apart] });

test('the faster config is chosen, and reported in one line', async () => {
  expect((await chooseWorkerCount(machine(times(30, 20)))).workers).toBe(4);
  expect(compared).toEqual([
    [
      { processes: 1, threads: 4, batch: 128 },
      { processes: 4, threads: 1, batch: 32 },
    ],
  ]);
  expect(notes.at(-1)).toBe(
    'Using 4 worker processes with 1 thread, the fastest here: 20.0 ms for 128 samples; 1 worker process with 4 threads: 30.0 ms',
  );
  expect((await chooseWorkerCount(machine(times(20, 30), { engineKey: 'another' }))).workers).toBe(1);
  expect(notes.at(-1)).toBe(
    'Using 1 worker process with 4 threads, the fastest here: 20.0 ms for 128 samples; 4 worker processes with 1 thread: 30.0 ms',
  );
});

test('each engine and number of cores is measured once', async () => {
  for (const result of [times(30, 20), times(20, 30)])
    expect((await chooseWorkerCount(machine(result))).workers).toBe(4);
  expect(compared).toHaveLength(1);
  expect(notes.at(-1)).toMatch(/^Using 4 .*\(measured before\)$/);
  expect((await chooseWorkerCount(machine(times(20, 30), { engineKey: 'tfjs-node 5' }))).workers).toBe(1);
  expect((await chooseWorkerCount(machine(times(20, 30), { cores: 8 }))).workers).toBe(1);
  expect(compared).toHaveLength(3);
  expect((await chooseWorkerCount(machine(times(20, 30)))).workers).toBe(4);
});

test('the measurement of a busy machine is not saved', async () => {
  expect((await chooseWorkerCount(machine(times(30, 20), { isBusy: true }))).workers).toBe(4);
  expect((await chooseWorkerCount(machine(times(20, 30)))).workers).toBe(1);
});

test('with a damaged or read-only file it is measured anew', async () => {
  const damaged = join(folder, 'damaged.json');
  await writeFile(damaged, '{"tfjs-node 4, 4 cores": {"workers": "many"}}');
  expect((await chooseWorkerCount(machine(times(20, 30), { cacheFile: damaged }))).workers).toBe(1);
  expect(
    (await chooseWorkerCount(machine(times(30, 20), { cacheFile: join(damaged, 'below.json') }))).workers,
  ).toBe(4);
});

test('one core, a busy machine with WebAssembly, or a given number of threads, is not measured', async () => {
  const never = new Error('not to be measured');
  const choose = (options: Partial<MachineProfile>): Promise<WorkerCount> =>
    chooseWorkerCount(machine(never, options));
  for (const choice of ['auto', 'wasm'] as const) {
    const options = { choice, engineKey: choice === 'wasm' ? 'tfjs-node 4' : null };
    expect(await choose({ ...options, isBusy: true })).toEqual({ workers: 4 });
    expect(await choose({ ...options, isBrief: true })).toEqual({ workers: 4 });
    expect(await choose({ ...options, threads: 1 })).toEqual({ workers: 4, threads: 1 });
    expect(await choose({ ...options, cores: 1 })).toEqual({ workers: 1 });
  }
  expect(await choose({ cores: 1 })).toEqual({ workers: 1 });
  expect(await choose({ threads: 2 })).toEqual({ workers: 2, threads: 2 });
  expect(await choose({ threads: 8 })).toEqual({ workers: 1, threads: 8 });
  expect(await choose({ choice: 'native', engineKey: null })).toEqual({ workers: 4 });
  expect(compared).toEqual([]);
  expect(notes).toEqual([]);
});

test('WebAssembly is measured with a process per core and with a thread per core', async () => {
  const engines: string[] = [];
  const wasm = (result: Comparison, cores = 4): Promise<WorkerCount> =>
    chooseWorkerCount(
      machine(result, {
        choice: 'wasm',
        cores,
        compare(one, other, _signal, engine) {
          compared.push([one, other]);
          engines.push(engine);
          return Promise.resolve(result);
        },
      }),
    );
  expect(await wasm(times(20, 30))).toEqual({ workers: 1, threads: 4 });
  expect(notes.at(-1)).toBe(
    'Using 1 worker process with 4 threads, the fastest here: 20.0 ms for 128 samples; 4 worker processes with 1 thread: 30.0 ms',
  );
  expect(await wasm(times(30, 20))).toEqual({ workers: 1, threads: 4 });
  expect(await wasm(times(30, 20), 8)).toEqual({ workers: 8 });
  expect(engines).toEqual(['wasm', 'wasm']);
  expect(compared[0]).toEqual([
    { processes: 1, threads: 4, batch: 128 },
    { processes: 4, threads: 1, batch: 32 },
  ]);
});

test('WebAssembly is not measured with little memory, of which threads need less', async () => {
  const options = { engineKey: null, memoryBytes: 2 ** 30 };
  expect(await chooseWorkerCount(machine(new Error('not to be measured'), options))).toEqual({
    workers: 1,
    threads: 4,
  });
  expect(notes).toEqual(['Using 1 worker process with 4 threads, which needs the least memory.']);
});

test('the memory limits the number of processes', async () => {
  expect((await chooseWorkerCount(machine(times(30, 20), { memoryBytes: 2 ** 30 }))).workers).toBe(2);
  expect(compared[0]?.[1]).toEqual({ processes: 2, threads: 2, batch: 64 });
  expect((await chooseWorkerCount(machine(times(30, 20), { memoryBytes: 2 ** 29 }))).workers).toBe(1);
});

test('a GPU uses one process', async () => {
  expect((await chooseWorkerCount(machine({ gpu: true }))).workers).toBe(1);
  expect(notes.at(-1)).toMatch(/GPU/);
});

test('a failed measurement is reported, uses a process per core, and is repeated the next time', async () => {
  expect((await chooseWorkerCount(machine(new Error('a process ended (1)')))).workers).toBe(4);
  expect(notes.at(-1)).toBe(
    'The measurement failed (a process ended (1)). Using 4 worker processes with 1 thread.',
  );
  expect((await chooseWorkerCount(machine(times(20, 30)))).workers).toBe(1);
});

const team = { processes: 1, threads: 1, batch: 8 };
const { signal } = new AbortController();

test('a measuring process that ends is an error', async () => {
  const program = [process.execPath, '-e', 'process.exit(3)', '--'] as const;
  await expect(compareConfigs(team, team, program, signal)).rejects.toThrow(/ended \(3\)/);
});
