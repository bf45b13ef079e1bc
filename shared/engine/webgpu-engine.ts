import { webGpuReader } from '../kernels/webgpu/backend.ts';
import { registerWebGpuKernels } from '../kernels/webgpu/register.ts';
import type { Clock } from '../util/clock.ts';
import type { TF } from '../util/tf.ts';
import type { Engine } from './engine.ts';
import { createEngine } from './tf-engine.ts';

/** Used part of tfjs' WebGPUBackend, and of WebGPU, for which TypeScript has no types. */
interface WebGpuBackend {
  readonly device: {
    readonly lost: Promise<{ readonly message: string }>;
    destroy(): void;
    addEventListener(
      type: 'uncapturederror',
      listener: (event: { readonly error: { readonly message: string } }) => void,
    ): void;
  };
}

/** Engine on a GPU, which the system may take away. */
export interface WebGpuEngine {
  readonly engine: Engine;
  /** Registers a callback for the loss of the GPU. */
  onLost(callback: (reason: string) => void): void;
  /** Gives the GPU back. Transfers on their way fail. */
  release(): void;
}

/** Time after which a GPU counts as hung. Drivers reset one that hangs within seconds; a software device may need minutes. */
const HUNG_AFTER_MS = 300_000;

/**
 * Creates an engine on tfjs' WebGPU backend.
 * @param tf with this backend set and ready
 * @param device name of the GPU
 * @param lostReason says that the GPU is lost if it gives no reason itself
 */
export function createWebGpuEngine(tf: TF, device: string, lostReason: string, clock: Clock): WebGpuEngine {
  registerWebGpuKernels(tf);
  const backend = tf.backend() as unknown as WebGpuBackend;
  const info = { backend: 'webgpu', version: tf.version.tfjs, device, threads: 1 };
  const callbacks: ((reason: string) => void)[] = [];
  const watch = async <T>(transfer: Promise<T>): Promise<T> => {
    const stop = clock.after(HUNG_AFTER_MS, () => {
      for (const callback of callbacks) callback(`it has not answered for ${HUNG_AFTER_MS / 1000} s`);
    });
    try {
      return await transfer;
    } finally {
      stop();
    }
  };
  return {
    engine: createEngine(tf, info, webGpuReader(tf, watch)),
    onLost(callback) {
      callbacks.push(callback);
      void backend.device.lost.then(({ message }) => callback(message || lostReason));
      // A shader that does not compile computes nothing, and its output keeps what the memory contained.
      backend.device.addEventListener('uncapturederror', ({ error }) =>
        callback(`the GPU cannot compute an operation: ${error.message.split('\n')[0]}`),
      );
    },
    release: () => backend.device.destroy(),
  };
}
