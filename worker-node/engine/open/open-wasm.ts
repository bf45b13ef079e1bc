import { cpus } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import type { Engine } from '../../../shared/engine/engine.ts';
import { createEngine } from '../../../shared/engine/tf-engine.ts';
import { host } from '../../../shared/kernels/module.ts';
import { readFromHeap } from '../../../shared/kernels/wasm/read-from-heap.ts';
import { registerWasmKernels, wasmVersion } from '../../../shared/kernels/wasm/register.ts';

/**
 * Opens WebAssembly with SIMD on one thread, which works wherever Node does. tfjs' wasm backend has no threads in Node, so
 * a machine's cores are used by one worker each.
 * @param multiplyAdd whether kernels round products and sums once where this machine can, which is faster and gives other bits
 *   @default true, unless the environment has GRADCAST_MULTIPLY_ADD=0
 * @throws Error with a sentence if it does not work
 */
export async function openWasmEngine(
  multiplyAdd = process.env.GRADCAST_MULTIPLY_ADD !== '0',
): Promise<Engine> {
  const tf = await import('@tensorflow/tfjs');
  await import('@tensorflow/tfjs-backend-wasm');
  tf.enableProdMode();
  // tfjs would use plain JavaScript.
  if (!(await tf.setBackend('wasm'))) throw new Error('WebAssembly does not work in this Node.');
  if (multiplyAdd) enableRelaxedSimd();
  registerWasmKernels(tf, { multiplyAdd });
  const info = {
    backend: 'wasm',
    version: wasmVersion(tf, multiplyAdd),
    device: cpus()[0]?.model.trim() ?? 'CPU',
    threads: 1,
  };
  return createEngine(tf, info, readFromHeap(tf));
}

/**
 * Opens tfjs in plain JavaScript: a hundred times as slow as WebAssembly, with which it shares no kernel.
 * @throws Error with a sentence if it does not work
 */
export async function openCpuEngine(): Promise<Engine> {
  const tf = await import('@tensorflow/tfjs');
  tf.enableProdMode();
  if (!(await tf.setBackend('cpu'))) throw new Error('tfjs does not work in this Node.');
  return createEngine(tf, {
    backend: 'cpu',
    version: tf.version.tfjs,
    device: cpus()[0]?.model.trim() ?? 'CPU',
    threads: 1,
  });
}

/** Module with one function, whose body is f32x4.relaxed_madd of three vectors of zeros. */
const RELAXED_MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x13, 0x01, 0x11, 0x00],
  ...[0x41, 0x00, 0xfd, 0x11, 0x41, 0x00, 0xfd, 0x11, 0x41, 0x00, 0xfd, 0x11],
  ...[0xfd, 0x85, 0x02, 0x0b],
]);

/** Whether this Node compiles relaxed SIMD. */
const knowsRelaxedSimd = (): boolean => host.WebAssembly?.validate(RELAXED_MODULE) === true;

/**
 * Lets kernels use relaxed SIMD in Node 20, which has it behind a flag of V8. Later versions need no flag, and Node 24 refuses
 * it. To be called before kernels are registered.
 */
export function enableRelaxedSimd(): void {
  if (!knowsRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');
}
