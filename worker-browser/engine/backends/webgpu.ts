import { createEngine } from '../../../shared/engine/tf-engine.ts';
import type { OpenedBackend } from './opened-backend.ts';
import { startBackend, tf } from './tf.ts';
import '@tensorflow/tfjs-backend-webgpu';

/** Used part of tfjs' WebGPUBackend, and of WebGPU, for which TypeScript has no types. */
interface WebGpuBackend {
  readonly device: { readonly lost: Promise<{ readonly message: string }> };
  readonly adapterInfo?: { readonly vendor?: string; readonly architecture?: string };
}

/** @throws Error with a sentence if there is no WebGPU */
export async function openWebGpu(): Promise<OpenedBackend> {
  await startBackend('webgpu');
  const { device, adapterInfo = {} } = tf.backend() as unknown as WebGpuBackend;
  const name = [adapterInfo.vendor, adapterInfo.architecture].filter((part) => part).join(' ');
  const info = { backend: 'webgpu', version: tf.version.tfjs, device: name || 'GPU', threads: 1 };
  return {
    engine: createEngine(tf, info),
    onLost: (callback) =>
      void device.lost.then(({ message }) => callback(message || 'the browser took the GPU away')),
  };
}
