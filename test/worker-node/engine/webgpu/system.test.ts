import { describe, expect, test } from 'vitest';
import {
  driverAdvice,
  seesGpu,
  unsupportedWebGpu,
  webGpuOffer,
  type System,
} from '../../../../worker-node/engine/webgpu/system.ts';

/** Debian on x64 with the given files, of which this user may open those of `forbidden` not. */
function system(options: Partial<System> = {}, files: readonly string[] = [], forbidden = ''): System {
  return {
    platform: 'linux',
    arch: 'x64',
    release: '6.1.0-18-amd64',
    glibc: '2.36',
    exists: (path) => files.includes(path),
    isAllowed: (path) => path !== forbidden,
    list: (folder) =>
      files.filter((file) => file.startsWith(`${folder}/`)).map((file) => file.slice(folder.length + 1)),
    has: (program) => program === 'apt-get',
    ...options,
  };
}
const RENDER_NODE = '/dev/dri/renderD128';

describe('the platforms of the package', () => {
  test.each<[string, Partial<System>]>([
    ['Linux on x64', {}],
    ['Linux on arm64', { arch: 'arm64', glibc: '2.34' }],
    ['a later glibc', { glibc: '3.0' }],
    ['macOS on x64', { platform: 'darwin', glibc: null }],
    ['macOS on arm64', { platform: 'darwin', arch: 'arm64', glibc: null }],
    ['Windows on x64', { platform: 'win32', glibc: null }],
    ['Windows on arm64', { platform: 'win32', arch: 'arm64', glibc: null }],
  ])('%s is one', (_, options) => {
    expect(unsupportedWebGpu(system(options))).toBeNull();
  });

  test.each<[string, Partial<System>, RegExp]>([
    ['another processor', { arch: 'riscv64' }, /no program for linux on riscv64: .*Linux, macOS and Windows/],
    ['32 bits', { platform: 'win32', arch: 'ia32', glibc: null }, /no program for win32 on ia32/],
    ['another system', { platform: 'freebsd', glibc: null }, /no program for freebsd on x64/],
    ['musl', { glibc: null }, /for a Linux without glibc, such as Alpine/],
    ['an old glibc', { glibc: '2.31' }, /for glibc 2\.31: it needs 2\.34 or newer/],
  ])('%s is none, and is named', (_, options, sentence) => {
    expect(unsupportedWebGpu(system(options))).toMatch(sentence);
  });
});

describe('the offer to install WebGPU', () => {
  const offer = (of: System, usesGpu = false): string | null => webGpuOffer('npx gradcast', of, usesGpu);

  test('is one line with the command where a GPU is seen', () => {
    for (const file of [RENDER_NODE, '/dev/nvidia0', '/dev/dxg']) {
      expect(seesGpu(system({}, [file])), file).toBe(true);
      expect(offer(system({}, [file]))).toMatch(/^.*: npx gradcast engine install --webgpu \(132 MB\)$/);
    }
    expect(offer(system({ platform: 'darwin', glibc: null }))).not.toBeNull();
    expect(offer(system({ platform: 'win32', glibc: null }))).not.toBeNull();
  });

  test('is not made without a GPU: a screen alone is none', () => {
    for (const files of [[], ['/dev/dri/card0'], ['/dev/nvidiactl']]) {
      expect(seesGpu(system({}, files))).toBe(false);
      expect(offer(system({}, files))).toBeNull();
    }
  });

  test('is not made if an engine for GPUs is installed, or the package has no program', () => {
    expect(offer(system({}, [RENDER_NODE]), true)).toBeNull();
    expect(offer(system({ glibc: null }, [RENDER_NODE]))).toBeNull();
    expect(offer(system({ platform: 'win32', arch: 'ia32', glibc: null }))).toBeNull();
  });
});

test.each<[string, System, RegExp]>([
  [
    'NVIDIA',
    system({}, ['/dev/nvidia0', RENDER_NODE]),
    /libnvidia-gl.*NVIDIA_DRIVER_CAPABILITIES=all.*libvulkan1/,
  ],
  [
    'AMD or Intel',
    system({}, [RENDER_NODE]),
    /Mesa.*: sudo apt-get install -y libvulkan1 mesa-vulkan-drivers\.$/,
  ],
  [
    'Fedora',
    system({ has: (program) => program === 'dnf' }, [RENDER_NODE]),
    /: sudo dnf install -y vulkan-loader/,
  ],
  [
    'an unknown Linux',
    system({ has: () => false }, [RENDER_NODE]),
    /, with this system's package manager\.$/,
  ],
  [
    'a forbidden file',
    system({}, [RENDER_NODE], RENDER_NODE),
    /may not open \/dev\/dri\/renderD128: sudo usermod/,
  ],
  ['WSL', system({}, ['/dev/dxg']), /run gradcast in Windows itself/],
  ['a container', system(), /shows no GPU.*--device \/dev\/dri, or --gpus all/],
  ['Windows', system({ platform: 'win32' }), /Direct3D 12/],
  [
    'macOS 15',
    system({ platform: 'darwin', release: '24.6.0' }),
    /built for macOS 26, and this is macOS 15: update/,
  ],
  ['macOS 26', system({ platform: 'darwin', release: '25.1.0' }), /Metal/],
])('the advice about drivers for %s is one sentence', (_, of, sentence) => {
  expect(driverAdvice(of)).toMatch(sentence);
  expect(driverAdvice(of)).toMatch(/^[^.]*(\.(\d|$)[^.]*)*\.$/);
});
