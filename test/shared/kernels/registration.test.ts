import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { bytesModule, compile, modules } from '../../../scripts/build-kernels.js';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { FusedKernel } from '../../../shared/kernels/fused-ops.ts';
import { registerWasmKernels } from '../../../shared/kernels/wasm/register.ts';
import { fusesMultiplyAdd, simdKernels } from '../../../shared/kernels/wasm/simd.ts';
import { startWasm } from './wasm-backend.ts';

describe('registerWasmKernels', () => {
  beforeAll(() => startWasm({}));

  it('changes nothing when it is called again', () => {
    const names = () =>
      tf
        .getKernelsForBackend('wasm')
        .map(({ kernelName }) => kernelName)
        .sort();
    const before = names();
    registerWasmKernels(tf);
    expect(names()).toEqual(before);
    const x = tf.tensor1d([-1, 1]);
    expect([
      ...tf.tidy(() =>
        tf
          .grad((t: tf.Tensor) => tf.relu(t))(x)
          .dataSync(),
      ),
    ]).toEqual([0, 1]);
    x.dispose();
  });

  it('has kernels of convolutions with their pools only where there is SIMD', () => {
    const hasPools = () =>
      tf.getKernelsForBackend('wasm').some(({ kernelName }) => kernelName === FusedKernel.pooled);
    expect(hasPools()).toBe(true);
    registerWasmKernels(tf, { simd: false });
    expect(hasPools()).toBe(false);
    registerWasmKernels(tf);
    expect(hasPools()).toBe(true);
  });
});

describe('the embedded WebAssembly', () => {
  it('also runs in a shared memory', () => {
    const memory = new wasmApi.Memory({ initial: 1, maximum: 65536, shared: true });
    const kernels = simdKernels({ wasm: { wasmMemory: memory, _malloc: () => 0, _free: () => undefined } });
    const heap = new Float32Array(memory.buffer);
    heap.set([1, 2, 3, -1, 0, 1]);
    kernels!.reluGradient(0, 12, 24, 3);
    expect([...heap.slice(6, 9)]).toEqual([0, 0, 3]);
  });

  it.runIf(process.platform === 'linux')('fuses multiply-add if and only if the CPU has it', () => {
    const hasFma =
      process.arch === 'arm64' || /^flags\s*:.*\bfma\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
    expect(fusesMultiplyAdd()).toBe(hasFma);
  });

  it.each([true, false])(
    'rounds products and sums once or twice, as asked for (fused: %s)',
    (multiplyAdd) => {
      const memory = new wasmApi.Memory({ initial: 1, maximum: 65536, shared: true });
      const wasm = { wasmMemory: memory, _malloc: () => 0, _free: () => undefined };
      const kernels = simdKernels({ wasm }, multiplyAdd)!;
      const heap = new Float32Array(memory.buffer);
      // (1 + 2^-12)^2 - 1 has 24 bits after its first; the square alone is rounded to 23.
      heap.set([-1, 1 + 2 ** -12, 1, 1 + 2 ** -12]);
      kernels.gemm(0, 8, 16, 1, 1, 2, false, false, 32);
      const isFused = multiplyAdd && fusesMultiplyAdd();
      expect(heap[4]).toBe(isFused ? 2 ** -11 + 2 ** -24 : 2 ** -11);
    },
  );

  it('is not used without access to the memory', () => {
    expect(simdKernels({ wasm: { _malloc: () => 0, _free: () => undefined } })).toBeNull();
  });

  it('equals the compiled sources byte for byte', async () => {
    expect(modules).toHaveLength(5);
    for (const module of modules) {
      const bytes = await compile(module);
      expect(bytesModule(module, bytes)).toBe(await readFile(module.bytesFile, 'utf8'));
      // A data segment or a heap would overwrite tensors in the shared memory.
      const owned = sectionIds(bytes).filter((id) => [MEMORY, GLOBALS, START, DATA].includes(id));
      expect(owned).toEqual([]);
    }
  });
});

// Node's types declare it only in the namespace of an old library.
const wasmApi = (globalThis as unknown as { WebAssembly: { Memory: SharedMemory } }).WebAssembly;
type SharedMemory = new (descriptor: { initial: number; maximum: number; shared: boolean }) => {
  readonly buffer: SharedArrayBuffer;
};

// WebAssembly's section numbers.
const MEMORY = 5;
const GLOBALS = 6;
const START = 8;
const DATA = 11;

function sectionIds(bytes: Uint8Array): number[] {
  const ids: number[] = [];
  for (let at = 8; at < bytes.length;) {
    ids.push(bytes[at++]!);
    let [size, shift] = [0, 0];
    do {
      size |= (bytes[at]! & 127) << shift;
      shift += 7;
    } while (bytes[at++]! & 128);
    at += size;
  }
  return ids;
}
