import { createWebGpuEngine } from '../../../shared/engine/webgpu-engine.ts';
import { systemClock } from '../../../shared/util/clock.ts';
import type { OpenedBackend } from './opened-backend.ts';
import { startBackend, tf } from './tf.ts';
import '@tensorflow/tfjs-backend-webgpu';

/** Used part of tfjs' WebGPUBackend. */
interface WebGpuBackend {
  readonly adapterInfo?: { readonly vendor?: string; readonly architecture?: string };
}

/** @throws Error with a sentence if there is no WebGPU */
export async function openWebGpu(): Promise<OpenedBackend> {
  await startBackend('webgpu');
  const { adapterInfo = {} } = tf.backend() as unknown as WebGpuBackend;
  const name = [adapterInfo.vendor, adapterInfo.architecture].filter((part) => part).join(' ');
  return createWebGpuEngine(tf, name || 'GPU', 'the browser took the GPU away', systemClock(globalThis));
}
