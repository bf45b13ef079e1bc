import { cpus } from 'node:os';
import type { Engine } from '../../../shared/engine/engine.ts';
import type { EngineChoice } from '../../../shared/engine/engine-choice.ts';
import { createEngine } from '../../../shared/engine/tf-engine.ts';
import { readFromHeap } from '../../../shared/kernels/wasm/read-from-heap.ts';
import { registerWasmKernels, wasmVersion } from '../../../shared/kernels/wasm/register.ts';
import { hasChosenWebGpu } from '../webgpu/saved-choice.ts';
import { openNativeEngine } from '../native/open-native.ts';
import { enableRelaxedSimd } from './relaxed-simd.ts';
import { gpuOfEnv, NO_GPU, openWebGpuEngine } from '../webgpu/open-webgpu.ts';
import { driverAdvice, thisSystem } from '../webgpu/system.ts';
import { findWebGpuPackage } from '../webgpu/webgpu-package.ts';

/** Sentence that says how a machine gets WebGPU, or a GPU for it. */
function webGpuAdvice(missing: string): string {
  if (findWebGpuPackage() === null)
    return 'Install it with "gradcast engine install --webgpu", or use --engine wasm, which needs nothing.';
  return missing === NO_GPU ? driverAdvice(thisSystem()) : '--engine wasm needs nothing.';
}

export interface ChosenEngine {
  readonly engine: Engine;
  /** Registers a callback for the loss of the device. */
  readonly onLost?: (callback: (reason: string) => void) => void;
  /** Gives the device back. */
  readonly release?: () => void;
  /** Why no better engine was taken. */
  readonly why: string;
}

/**
 * Opens the best engine of this machine: WebGPU where a measurement has chosen it, native TensorFlow on a GPU, on the CPU, else
 * WebAssembly.
 * @param choice the user's, or `no-webgpu` for the best of the others
 * @param note receives the lines that the engine logs
 * @throws Error with a sentence if the requested engine cannot be opened
 */
export async function chooseEngine(
  choice: EngineChoice | 'no-webgpu',
  note: (line: string) => void = () => undefined,
): Promise<ChosenEngine> {
  if (choice === 'wasm') return { engine: await openWasmEngine(), why: 'asked for' };
  if (choice === 'webgpu') {
    const opened = await openWebGpuEngine(gpuOfEnv(process.env));
    if ('missing' in opened)
      throw new Error(`No WebGPU here: ${opened.missing}. ${webGpuAdvice(opened.missing)}`);
    return { ...opened, why: opened.isSoftware ? 'on the processor, in place of a GPU' : 'the fastest here' };
  }
  if (choice === 'auto' && (await hasChosenWebGpu())) {
    const opened = await openWebGpuEngine(gpuOfEnv(process.env));
    if (!('missing' in opened)) return { ...opened, why: 'the fastest here, as measured' };
    note(`WebGPU, which was the fastest here, does not open: ${opened.missing}.`);
  }
  const native = await openNativeEngine({ note });
  if ('engine' in native) return { engine: native.engine, why: 'the fastest here' };
  if (choice === 'native') {
    throw new Error(`No native TensorFlow here: ${native.missing}. Use --engine wasm, which needs nothing.`);
  }
  return { engine: await openWasmEngine(), why: `no native TensorFlow here: ${native.missing}` };
}

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
