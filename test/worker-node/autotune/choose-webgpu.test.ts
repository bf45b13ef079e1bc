import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { chooseWebGpu, compareGpu, saveMeasurement } from '../../../worker-node/autotune/choose-webgpu.ts';
import {
  formatBenchmarkLine,
  isFaster,
  workersOf,
  type EngineBenchmark,
} from '../../../worker-node/engine/benchmark/benchmark-child.ts';
import { currentTarget } from '../../../worker-node/engine/locate/target.ts';
import { formatGpusLine } from '../../../worker-node/engine/benchmark/gpus-in-child.ts';
import { WEBGPU_VERSION } from '../../../worker-node/engine/webgpu/webgpu-package.ts';
import { fakePrograms } from '../../support/fake-programs.ts';

let folder: string;
let notes: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gradcast-webgpu-choice-'));
  // No native engine of this machine takes part, and no file of its user is read.
  vi.stubEnv('XDG_CACHE_HOME', folder);
  vi.stubEnv('GRADCAST_NATIVE_DIR', '');
  notes = [];
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const cores = availableParallelism();
const key = 'webgpu 1.0, some GPU';
const choicesFile = (): string => join(folder, 'gradcast', 'shapes.json');

const gpu: EngineBenchmark = {
  backend: 'webgpu',
  version: '4.22.0',
  tensorflow: null,
  device: 'vendor chip',
  gpu: true,
  threads: 1,
  lossBefore: 2,
  lossAfter: 1,
  batch: 128,
  msPerSample: 0.1,
  difference: 1e-6,
  gpus: [],
};
const wasm: EngineBenchmark = {
  ...gpu,
  ...{ backend: 'wasm', device: 'a processor', gpu: false, msPerSample: 1, difference: null },
};

interface Answers {
  readonly webgpu?: EngineBenchmark | string;
  readonly wasm?: EngineBenchmark | string;
  readonly native?: EngineBenchmark | string;
  /** Shell commands that list the GPUs. */
  readonly gpus?: string;
}

/** Stands for the key of this machine. */
const OWN = 'own';

/** The command and signal of a measurement that needs none. */
const unused = { command: ['missing'], signal: new AbortController().signal } as const;

/** Starts the choice with a program that measures as given: a text is printed as an error. */
async function choose(
  answers: Answers,
  signal = new AbortController().signal,
  ofKey: string = key,
): Promise<boolean> {
  const answer = (of: EngineBenchmark | string): string =>
    typeof of === 'string' ? `echo 'gradcast: ${of}'; exit 1` : `echo '${formatBenchmarkLine(of).trim()}'`;
  const script = `
if [ "$2" = gpus ]; then ${answers.gpus ?? 'exit 1'}; exit; fi
echo "$4 $6" >> ${join(folder, 'measured')}
case "$4" in
  webgpu) ${answer(answers.webgpu ?? gpu)} ;;
  native) ${answer(answers.native ?? wasm)} ;;
  *) ${answer(answers.wasm ?? wasm)} ;;
esac`;
  await fakePrograms(join(folder, 'bin'), { gradcast: script });
  const command = [join(folder, 'bin', 'gradcast')] as const;
  return chooseWebGpu(
    { command, note: (line) => void notes.push(line), signal },
    ofKey === OWN ? undefined : ofKey,
  );
}

/** Engines and batch sizes that were measured. */
const measured = async (): Promise<string[]> =>
  (await readFile(join(folder, 'measured'), 'utf8').catch(() => '')).trim().split('\n');

describe('the faster engine', () => {
  test('a GPU competes with one WebAssembly worker on each core', () => {
    expect(workersOf(wasm, 8)).toBe(8);
    expect(workersOf({ ...wasm, threads: 8 }, 8)).toBe(1);
    expect(workersOf({ ...wasm, threads: 16 }, 8)).toBe(1);
    expect(workersOf({ ...gpu, threads: 1 }, 8)).toBe(1);
    expect(isFaster({ ...gpu, msPerSample: 0.124 }, wasm, 8)).toBe(true);
    expect(isFaster({ ...gpu, msPerSample: 0.125 }, wasm, 8)).toBe(false);
  });

  test('a GPU by WebGPU competes with the same GPU by CUDA, one worker each', () => {
    const cuda = { ...gpu, backend: 'tensorflow', threads: 4, msPerSample: 0.05 };
    expect(isFaster(gpu, cuda, 64)).toBe(false);
    expect(isFaster({ ...gpu, msPerSample: 0.049 }, cuda, 64)).toBe(true);
  });

  test('a processor in place of a GPU is never preferred, nor a time that is no number', () => {
    expect(isFaster({ ...gpu, gpu: false, msPerSample: 1e-6 }, wasm, 1)).toBe(false);
    expect(isFaster({ ...gpu, msPerSample: NaN }, wasm, 1)).toBe(false);
  });

  test('the result has both speeds', () => {
    expect(compareGpu(gpu, wasm, 4)).toEqual({
      workers: 1,
      line: 'Using WebGPU, by measurement: webgpu on vendor chip 0.100 ms a sample; wasm on a processor, 4 workers 0.250 ms a sample',
    });
    const slower = compareGpu(gpu, wasm, 10);
    expect(slower.workers).toBe(0);
    expect(slower.line).toMatch(/^Using no /);
  });
});

describe.skipIf(process.platform !== 'linux')('the choice by measurement', () => {
  test('both engines are measured once, and the answer is kept', async () => {
    expect(await choose({ wasm: { ...wasm, msPerSample: cores } })).toBe(true);
    expect(await measured()).toEqual(['webgpu 128', expect.stringMatching(/^(wasm|native) 128$/)]);
    expect(notes.at(-1)).toMatch(/^Using WebGPU, by measurement: webgpu on vendor chip 0\.100 ms/);
    expect(await choose({ webgpu: 'not to be measured' })).toBe(true);
    expect(await measured()).toHaveLength(2);
    expect(notes.at(-1)).toMatch(/^Using WebGPU.*\(measured before\)$/);
  });

  test('a slower GPU is not used, then and later', async () => {
    expect(await choose({ webgpu: { ...gpu, msPerSample: 2 } })).toBe(false);
    expect(await choose({})).toBe(false);
    expect(notes.at(-1)).toMatch(/^Using no WebGPU.*\(measured before\)$/);
  });

  test.each<[string, Answers, RegExp]>([
    ['cannot be opened', { webgpu: 'no driver' }, /no driver/],
    ['has a wrong gradient', { webgpu: { ...gpu, difference: 0.5 } }, /gradient is wrong: off by 0\.50/],
    ['does not train', { webgpu: { ...gpu, lossAfter: 3 } }, /does not lower the loss/],
    ['cannot be compared', { wasm: 'out of memory' }, /out of memory/],
  ])('a GPU that %s is not used, and the reason is kept', async (_, answers, reason) => {
    expect(await choose(answers)).toBe(false);
    expect(notes.at(-1)).toMatch(/^Using no WebGPU: .*; to measure again: gradcast engine$/);
    expect(notes.at(-1)).toMatch(reason);
    expect(await choose({})).toBe(false);
    expect(notes.at(-1)).toMatch(reason);
  });

  test.each([
    ['truncated', '{"webgpu 1.0, so'],
    ['of another kind', JSON.stringify({ [key]: { workers: -1, line: 3 } })],
  ])('with a file that is %s it is measured again, and the file replaced', async (_, text) => {
    await mkdir(join(folder, 'gradcast'));
    await writeFile(choicesFile(), text);
    expect(await choose({ wasm: { ...wasm, msPerSample: cores } })).toBe(true);
    expect(await measured()).toHaveLength(2);
    expect(JSON.parse(await readFile(choicesFile(), 'utf8'))).toMatchObject({ [key]: { workers: 1 } });
  });

  test('a measurement that cannot be saved is not acted on, since the worker could not read it', async () => {
    await writeFile(join(folder, 'gradcast'), 'a file in place of the folder');
    expect(await choose({ wasm: { ...wasm, msPerSample: cores } })).toBe(false);
    expect(notes.at(-1)).toContain('--engine webgpu');
  });

  test('a measurement that is aborted says and saves nothing', async () => {
    const aborted = AbortSignal.abort();
    expect(await choose({}, aborted)).toBe(false);
    expect(notes).toEqual(['Measuring the GPU against the processor (some seconds, once) ...']);
    await expect(readFile(choicesFile())).rejects.toThrow('ENOENT');
  });

  test('a measurement of `gradcast engine` replaces the saved one, also if WebGPU does not work', async () => {
    const slow = { ...wasm, msPerSample: cores };
    expect(await choose({ webgpu: 'no driver' })).toBe(false);
    await saveMeasurement(gpu, slow, unused, key);
    expect(await choose({})).toBe(true);
    await saveMeasurement('the driver is gone', slow, unused, key);
    expect(await choose({})).toBe(false);
    expect(notes.at(-1)).toMatch(/^Using no WebGPU: the driver is gone; .*\(measured before\)$/);
    await saveMeasurement(gpu, slow, unused, null);
    expect(await choose({})).toBe(false);
  });

  test('a native engine that does not work is passed over, as by workers', async () => {
    const name = '@tensorflow/tfjs-node-gpu';
    const addon = join(folder, 'native/node_modules', name, 'lib', `napi-v${currentTarget().napi}`);
    await mkdir(addon, { recursive: true });
    await writeFile(join(addon, 'tfjs_binding.node'), '');
    await writeFile(join(folder, 'native/node_modules', name, 'package.json'), '{}');
    vi.stubEnv('GRADCAST_NATIVE_DIR', join(folder, 'native'));
    const cuda = { ...gpu, backend: 'tensorflow', msPerSample: 0.05 };
    expect(await choose({ native: cuda })).toBe(false);
    expect(notes.at(-1)).toMatch(
      /^Using no WebGPU, by measurement: webgpu .* 0\.100 .*; tensorflow .* 0\.050 /,
    );
    await rm(choicesFile());
    expect(await choose({ native: { ...cuda, msPerSample: 0.2 } })).toBe(true);
    await rm(choicesFile());
    expect(await choose({ native: 'no CUDA', wasm: { ...wasm, msPerSample: cores } })).toBe(true);
    expect((await measured()).slice(-3)).toEqual(['webgpu 128', 'native 128', 'wasm 128']);
    expect(notes.at(-1)).toMatch(/^Using WebGPU, by measurement: .*; wasm on a processor/);
  });

  test('the GPUs are listed by another process, which a driver may crash', async () => {
    const webgpu = join(folder, `gradcast/engine/webgpu-${WEBGPU_VERSION}/node_modules/webgpu`);
    await mkdir(webgpu, { recursive: true });
    await writeFile(join(webgpu, 'index.js'), '');
    const command = [join(folder, 'bin', 'gradcast')] as const;
    const { signal } = unused;
    expect(await choose({ gpus: 'kill -SEGV $$' }, signal, OWN)).toBe(false);
    expect(notes).toEqual([]);
    vi.stubEnv('GRADCAST_GPU_POWER', 'hgih');
    await expect(choose({}, signal, OWN)).rejects.toThrow("takes low or high, not 'hgih'");
    vi.stubEnv('GRADCAST_GPU_POWER', '');
    const some = { number: 0, system: 'vulkan', name: 'Some GPU', vendor: '', architecture: '' };
    const line = formatGpusLine([{ ...some, driver: '', isSoftware: false, isSelectable: true }]).trim();
    const slow = { ...wasm, msPerSample: cores };
    expect(await choose({ gpus: `echo '${line}'`, wasm: slow }, signal, OWN)).toBe(true);
    expect(await readFile(choicesFile(), 'utf8')).toContain(`"webgpu, ${WEBGPU_VERSION}, Some GPU, `);
    await saveMeasurement('the driver is gone', slow, { command, signal });
    expect(await choose({ gpus: `echo '${line}'` }, signal, OWN)).toBe(false);
  });

  test('without a GPU nothing is measured', async () => {
    const command = [join(folder, 'missing')] as const;
    const { signal } = new AbortController();
    expect(await chooseWebGpu({ command, note: (line) => void notes.push(line), signal }, null)).toBe(false);
    expect(notes).toEqual([]);
  });
});
