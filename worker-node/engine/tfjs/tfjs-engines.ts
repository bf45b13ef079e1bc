import { cpus } from 'node:os';
import type { Engine } from '../../../shared/engine/engine.ts';
import { createEngine } from '../../../shared/engine/tf-engine.ts';
import { readFromHeap } from '../../../shared/kernels/wasm/read-from-heap.ts';
import { registerWasmKernels } from '../../../shared/kernels/wasm/register.ts';

/**
 * Opens WebAssembly with SIMD on one thread, which works wherever Node does. tfjs' wasm backend has no threads in Node, so
 * a machine's cores are used by one worker each.
 * @throws Error with a sentence if it does not work
 */
export async function openWasmEngine(): Promise<Engine> {
  const tf = await import('@tensorflow/tfjs');
  await import('@tensorflow/tfjs-backend-wasm');
  tf.enableProdMode();
  // tfjs would use plain JavaScript.
  if (!(await tf.setBackend('wasm'))) throw new Error('WebAssembly does not work in this Node.');
  registerWasmKernels(tf);
  const info = {
    backend: 'wasm',
    version: tf.version.tfjs,
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
