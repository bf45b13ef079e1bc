import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { registerWasmKernels } from '../../../shared/kernels/wasm/register.ts';
import { guardHeap, type GuardedHeap } from '../../support/guarded-heap.ts';

/** Variants of the kernels: every test of a kernel runs with SIMD and with the fallback. */
export const variants = [
  { name: 'with SIMD', simd: true },
  { name: 'without SIMD', simd: false },
] as const;

/** Starts the wasm backend with gradcast's kernels. */
export async function startWasm(simd: boolean): Promise<typeof tf> {
  tf.enableProdMode();
  registerWasmKernels(tf, { simd });
  await tf.setBackend('wasm');
  return tf;
}

/** Starts the wasm backend with gradcast's kernels for a block of tests, each with new guards around allocations. */
export function useGuardedWasm(simd: boolean): Pick<GuardedHeap, 'check'> {
  let heap: GuardedHeap;
  beforeAll(() => startWasm(simd));
  beforeEach(() => {
    heap = guardHeap(tf.backend());
  });
  afterEach(() => heap.restore());
  return { check: () => heap.check() };
}

/** Runs one kernel and returns its output's values and shape. @throws Error if the kernel leaks tensors */
export function runKernel(
  name: string,
  inputs: Record<string, tf.Tensor>,
  attrs: object = {},
): { values: Float32Array; shape: number[] } {
  const before = tf.memory().numTensors;
  const out = tf.engine().runKernel<tf.Tensor>(name, inputs, attrs as tf.NamedAttrMap);
  const result = { values: out.dataSync<'float32'>().slice(), shape: out.shape };
  out.dispose();
  if (tf.memory().numTensors !== before) throw new Error(`${name} leaks tensors.`);
  return result;
}

/** Bytes of the backend's memory. */
export function heapBytes(): number {
  const { wasm } = tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } };
  return wasm.HEAPU8.byteLength;
}
