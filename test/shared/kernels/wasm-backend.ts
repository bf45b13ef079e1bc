import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { registerWasmKernels, type WasmKernelOptions } from '../../../shared/kernels/wasm/register.ts';
import { guardHeap, type GuardedHeap } from '../../support/guarded-heap.ts';
import { enableRelaxedSimd } from '../../../worker-node/engine/open/open-wasm.ts';

/** Variants of the kernels: every test of a kernel runs with SIMD in both of its forms, and with the fallback. */
export const variants = [
  { name: 'with fused multiply-add', kernels: { simd: true, multiplyAdd: true } },
  { name: 'with SIMD', kernels: { simd: true, multiplyAdd: false } },
  { name: 'without SIMD', kernels: { simd: false } },
] as const;

enableRelaxedSimd();

/** Starts the wasm backend with gradcast's kernels, as the engines do: those of pools are registered only if it has started. */
export async function startWasm(kernels: WasmKernelOptions): Promise<typeof tf> {
  tf.enableProdMode();
  await tf.setBackend('wasm');
  registerWasmKernels(tf, kernels);
  return tf;
}

/** Starts the wasm backend with gradcast's kernels for a block of tests, each with new guards around allocations. */
export function useGuardedWasm(kernels: WasmKernelOptions): Pick<GuardedHeap, 'check'> {
  let heap: GuardedHeap;
  beforeAll(() => startWasm(kernels));
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
