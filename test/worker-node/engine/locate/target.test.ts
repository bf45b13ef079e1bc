import { expect, test } from 'vitest';
import {
  engineKey,
  currentTarget,
  findInstallMethods,
  type Target,
} from '../../../../worker-node/engine/locate/target.ts';

const linux: Target = { platform: 'linux', arch: 'x64', napi: 8 };

test('the key of an engine has everything that it was built from', () => {
  const key = engineKey(linux, 'cpu', '2.21.0');
  expect(key).toBe('linux-x64-napi8-tfjs4.22.0-tf2.21.0-cpu');
  const others = [
    engineKey({ ...linux, arch: 'arm64' }, 'cpu', '2.21.0'),
    engineKey({ ...linux, napi: 7 }, 'cpu', '2.21.0'),
    engineKey(linux, 'gpu', '2.21.0'),
    engineKey(linux, 'cpu', '2.9.1'),
  ];
  expect(new Set([key, ...others]).size).toBe(5);
});

test('all supported Node versions load the same addon', () => {
  expect(currentTarget().napi).toBe(8);
});

test('Linux has both methods; the wheel has CUDA only for a GPU', () => {
  expect(findInstallMethods(linux, 'cpu', true)).toEqual({ download: true, wheel: 'tensorflow-cpu' });
  expect(findInstallMethods(linux, 'gpu', true)).toEqual({ download: true, wheel: 'tensorflow' });
});

test.each([
  ['Windows', { ...linux, platform: 'win32' }, true],
  ['Apple silicon', { ...linux, platform: 'darwin', arch: 'arm64' }, true],
  ['glibc', linux, false],
] as const)('where there is no way, it says so and that WebAssembly works: %s', (words, target, glibc) => {
  const { unsupported } = findInstallMethods(target, 'cpu', glibc);
  expect(unsupported).toContain(words);
  expect(unsupported).toContain('WebAssembly');
});
