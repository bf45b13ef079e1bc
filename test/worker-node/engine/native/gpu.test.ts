import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  cudaLibraries,
  loadResidentLibraries,
  setNativeEnvironment,
} from '../../../../worker-node/engine/native/load-native.ts';
import { readGpuName } from '../../../../worker-node/engine/native/nvidia-gpus.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-gpu-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Output of nvidia-smi on a machine with two GPUs. */
const TWO_GPUS = 'case "$*" in *--id=1*) echo "NVIDIA B, 2048 MiB";; *) echo "NVIDIA A, 1024 MiB";; esac';

test('the device has its memory in its name; of several GPUs it is the one that TensorFlow uses', async () => {
  const env = await fakePrograms(folder, { 'nvidia-smi': TWO_GPUS });
  expect(readGpuName(env)).toBe('NVIDIA A, 1024 MiB');
  expect(readGpuName({ ...env, CUDA_VISIBLE_DEVICES: '1,0' })).toBe('NVIDIA B, 2048 MiB');
  expect(readGpuName({ PATH: join(folder, 'none') })).toBe('GPU');
  expect(readGpuName(await fakePrograms(folder, { 'nvidia-smi': 'exit 9' }))).toBe('GPU');
});

test('GPU memory grows on demand, and GPUs are counted as nvidia-smi counts them', () => {
  const env: NodeJS.ProcessEnv = {};
  setNativeEnvironment(env);
  expect(env).toMatchObject({ TF_FORCE_GPU_ALLOW_GROWTH: 'true', CUDA_DEVICE_ORDER: 'PCI_BUS_ID' });
});

test("a wheel's CUDA libraries are those that TensorFlow opens by name", async () => {
  const put = async (part: string, name: string): Promise<string> => {
    const lib = join(folder, 'deps', 'nvidia', part, 'lib');
    await mkdir(lib, { recursive: true });
    await writeFile(join(lib, name), '');
    return join(lib, name);
  };
  await put('cudnn', 'libcudnn_ops.so.9');
  await put('cuda_cupti', 'libcheckpoint.so');
  const wanted = [await put('cudnn', 'libcudnn.so.9'), await put('cusolver', 'libcusolver.so.11')];
  expect(cudaLibraries(folder).toSorted()).toEqual(wanted);
  expect(cudaLibraries(join(folder, 'none'))).toEqual([]);
  // Libraries that cannot be loaded are returned.
  expect(loadResidentLibraries(wanted)).toEqual(wanted);
});

test('a preloaded library that is not an addon stays loaded', () => {
  const loaded = (): string[] =>
    (process.report.getReport() as { readonly sharedObjects: string[] }).sharedObjects;
  const library = loaded()
    .find((path) => path.endsWith('/libc.so.6'))
    ?.replace('libc.so.6', 'libresolv.so.2');
  // Only a Linux with glibc can have CUDA's libraries.
  if (library === undefined) return;
  expect(loadResidentLibraries([library])).toEqual([]);
  expect(loaded()).toContain(library);
});
