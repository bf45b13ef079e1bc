import type { Engine } from '../../../shared/engine/engine.ts';
import type { EngineChoice } from '../../../shared/engine/engine-choice.ts';
import { hasChosenWebGpu } from '../webgpu/saved-choice.ts';
import { openNativeEngine } from '../native/open-native.ts';
import { openWasmEngine } from './open-wasm.ts';
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
  if ('engine' in native) return { engine: native.engine, why: 'installed here' };
  if (choice === 'native') {
    throw new Error(`No native TensorFlow here: ${native.missing}. Use --engine wasm, which needs nothing.`);
  }
  return { engine: await openWasmEngine(), why: `no native TensorFlow here: ${native.missing}` };
}
