import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { devices as parseDevices } from '../../../../cli/options.ts';
import { resolveDevices, visibleDeviceEnv } from '../../../../worker-node/engine/native/nvidia-gpus.ts';
import { nativeCandidates } from '../../../../worker-node/engine/locate/candidates.ts';
import { currentTarget } from '../../../../worker-node/engine/locate/target.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';
import { spawnGradcast } from '../../../support/worker-process.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-devices-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Environment whose nvidia-smi lists the numbers of GPUs and fails for any other query. */
const withGpus = (...numbers: number[]): Promise<NodeJS.ProcessEnv> =>
  fakePrograms(folder, {
    'nvidia-smi': `test "$*" = "--query-gpu=index --format=csv,noheader" || exit 9\n${numbers.map((n) => `echo ${n}`).join('\n')}`,
  });

describe('--devices', () => {
  test('accepts all, or numbers separated by commas', () => {
    expect(parseDevices('all')).toBe('all');
    expect(parseDevices('0')).toEqual([0]);
    expect(parseDevices('2,0,11')).toEqual([2, 0, 11]);
  });

  test.each(['', 'ALL', '0,', ',0', '0 1', '0, 1', '-1', '1.0', '0x1', 'gpu0', '1e0', '9999'])(
    "rejects '%s'",
    (text) => expect(() => parseDevices(text)).toThrow(/numbers of GPUs such as 0,1/),
  );

  test('rejects duplicate numbers', () => {
    expect(() => parseDevices('0,1,0')).toThrow(/twice/);
    expect(() => parseDevices('1,01')).toThrow(/twice/);
  });
});

describe('the GPUs of a machine', () => {
  test('all means those that nvidia-smi lists', async () => {
    expect(resolveDevices('all', await withGpus(0, 1, 2))).toEqual([0, 1, 2]);
  });

  test('numbers are used in their order if nvidia-smi lists them', async () => {
    expect(resolveDevices([2, 0], await withGpus(0, 1, 2))).toEqual([2, 0]);
    expect(() => resolveDevices([0, 3], { PATH: folder })).toThrow(/no GPU 3; nvidia-smi finds 0, 1, 2\./);
  });

  test('without nvidia-smi, all is an error with advice, and numbers are not checked', async () => {
    const env = await fakePrograms(folder, {});
    expect(() => resolveDevices('all', env)).toThrow(/nvidia-smi.*does not work\. .*--devices 0,1/);
    expect(resolveDevices([0, 1], env)).toEqual([0, 1]);
  });

  test('nvidia-smi that fails is treated as missing; if it finds no GPU, the error says so', async () => {
    const broken = await fakePrograms(folder, { 'nvidia-smi': 'echo no devices were found; exit 6' });
    expect(() => resolveDevices('all', broken)).toThrow(/does not work\./);
    const empty = await withGpus();
    expect(() => resolveDevices('all', empty)).toThrow(/finds no GPU/);
    expect(() => resolveDevices([0], empty)).toThrow(/no GPU 0; nvidia-smi finds none/);
  });

  test('only those of CUDA_VISIBLE_DEVICES are available if it has numbers', async () => {
    const env = { ...(await withGpus(0, 1, 2, 3)), CUDA_VISIBLE_DEVICES: '3, 1' };
    expect(resolveDevices('all', env)).toEqual([3, 1]);
    expect(resolveDevices([1], env)).toEqual([1]);
    expect(() => resolveDevices([1, 2], env)).toThrow(
      'GPU 2 is not available to this process: CUDA_VISIBLE_DEVICES allows 3, 1.',
    );
    const none = { ...env, CUDA_VISIBLE_DEVICES: '-1' };
    expect(() => resolveDevices('all', none)).toThrow('CUDA_VISIBLE_DEVICES allows no GPU for this process.');
    expect(() => resolveDevices([0], none)).toThrow('GPU 0 is not available');
    for (const devices of ['', 'GPU-8932f937']) {
      expect(resolveDevices([2], { ...env, CUDA_VISIBLE_DEVICES: devices })).toEqual([2]);
    }
  });

  test('a process that sees one GPU counts in the order of nvidia-smi', () => {
    expect(visibleDeviceEnv(3)).toEqual({ CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: '3' });
  });
});

test.each<[string, string[], RegExp]>([
  ['WebAssembly', ['--devices', 'all', '--engine', 'wasm'], /WebAssembly computes on the CPU/],
  ['a number of workers', ['--devices', '0', '--workers', '2'], /one worker for each GPU/],
  ['an invalid list', ['--devices', '0;1'], /numbers of GPUs such as 0,1/],
])('GPUs with %s are an error with a sentence', async (_, options, sentence) => {
  expect(await outputWithout(options)).toMatch(sentence);
});

test('GPUs without an engine for them are an error that says how to install it', async ({ skip }) => {
  const env = { GRADCAST_NATIVE_DIR: folder };
  const candidates = nativeCandidates(folder, currentTarget(), env);
  const hasEngine = candidates.some(({ variant, missing }) => variant === 'gpu' && missing === null);
  skip(hasEngine, 'the packages that are installed here include an engine for GPUs');
  expect(await outputWithout(['--devices', '0'])).toMatch(
    /This gets it: node .*bin.gradcast\.js engine install --gpu/,
  );
});

/** Output of a worker that cannot start, without a driver and without an engine of this machine. */
async function outputWithout(options: readonly string[]): Promise<string> {
  const none = { ...(await fakePrograms(folder, {})), CUDA_VISIBLE_DEVICES: undefined };
  const env = { ...process.env, ...none, XDG_CACHE_HOME: folder, GRADCAST_NATIVE_DIR: folder };
  const worker = spawnGradcast(['worker', 'ws://127.0.0.1:1', ...options], env);
  expect(await worker.ended).toBe(1);
  return worker.output();
}
