import { createEngine } from '../../../shared/engine/tf-engine.ts';
import { webGpuReader } from '../../../shared/kernels/webgpu/read-tensors.ts';
import { registerWebGpuKernels } from '../../../shared/kernels/webgpu/register.ts';
import type { OpenedBackend } from './opened-backend.ts';
import { startBackend, tf } from './tf.ts';
import '@tensorflow/tfjs-backend-webgpu';

/** Used part of tfjs' WebGPUBackend, and of WebGPU, for which TypeScript has no types. */
interface WebGpuBackend {
  readonly device: {
    readonly lost: Promise<{ readonly message: string }>;
    addEventListener(
      type: 'uncapturederror',
      listener: (event: { readonly error: { readonly message: string } }) => void,
    ): void;
  };
  readonly adapterInfo?: { readonly vendor?: string; readonly architecture?: string };
}

/** @throws Error with a sentence if there is no WebGPU */
export async function openWebGpu(): Promise<OpenedBackend> {
  await startBackend('webgpu');
  registerWebGpuKernels(tf);
  const { device, adapterInfo = {} } = tf.backend() as unknown as WebGpuBackend;
  const name = [adapterInfo.vendor, adapterInfo.architecture].filter((part) => part).join(' ');
  const info = { backend: 'webgpu', version: tf.version.tfjs, device: name || 'GPU', threads: 1 };
  return {
    engine: createEngine(tf, info, webGpuReader(tf)),
    onLost(callback) {
      void device.lost.then(({ message }) => callback(message || 'the browser took the GPU away'));
      // A shader that does not compile computes nothing, and its output keeps what the memory contained.
      device.addEventListener('uncapturederror', ({ error }) =>
        callback(`the GPU cannot compute an operation: ${error.message.split('\n')[0]}`),
      );
    },
  };
}
