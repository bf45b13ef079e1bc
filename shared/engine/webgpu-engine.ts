import { webGpuTransfers } from '../kernels/webgpu/backend.ts';
import { registerWebGpuKernels } from '../kernels/webgpu/register.ts';
import type { Clock } from '../util/clock.ts';
import type { TF } from '../util/tf.ts';
import { randomShard } from '../data/random-shard.ts';
import type { Job } from '../model/job.ts';
import { layoutOf } from '../model/layout.ts';
import type { Step } from '../protocol/messages.ts';
import type { Engine, GradientComputer } from './engine.ts';
import { createEngine } from './tf-engine.ts';

/** Used part of tfjs' WebGPUBackend, and of WebGPU, for which TypeScript has no types. */
interface WebGpuBackend {
  /** Waits for the pipelines that are compiled at the same time. */
  checkCompileCompletionAsync(): Promise<void>;
  readonly device: {
    readonly lost: Promise<{ readonly message: string }>;
    destroy(): void;
    addEventListener(
      type: 'uncapturederror',
      listener: (event: { readonly error: { readonly message: string } }) => void,
    ): void;
  };
}

/** Flag of tfjs with which kernels compile their pipelines and do not run. */
const COMPILE_ONLY = 'WEBGPU_ENGINE_COMPILE_ONLY';
/** Samples of the step for which pipelines are compiled. Those of gradcast's kernels serve any number of samples. */
const COMPILED_SAMPLES = 4;

/** In place of random numbers, which nothing computes with. */
const ZEROS = { uint32: () => 0, below: () => 0, uniform: () => 0 };

/** Engine on a GPU, which the system may take away. */
export interface WebGpuEngine {
  readonly engine: Engine;
  /** Registers a callback for the loss of the GPU. */
  readonly onLost: (callback: (reason: string) => void) => void;
  /** Gives the GPU back. Transfers on their way fail. */
  readonly release: () => void;
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
  const engine = createEngine(tf, info, webGpuTransfers(tf, watch));
  return {
    engine: {
      info,
      load: async (job, module) => {
        const computer = await engine.load(job, module);
        await compilePipelines(tf, backend, job, computer);
        return computer;
      },
    },
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

/**
 * Compiles the pipelines of a step and an evaluation at the same time, before the first step; the others when they are first used.
 * @throws Error if the GPU cannot compile one
 */
async function compilePipelines(
  tf: TF,
  backend: WebGpuBackend,
  job: Job,
  computer: GradientComputer,
): Promise<void> {
  const { length } = layoutOf(job.layout);
  const shard = randomShard(job, COMPILED_SAMPLES, ZEROS);
  tf.env().set(COMPILE_ONLY, true);
  try {
    computer.setWeights(new Float32Array(length));
    await computer.gradient(0 as Step, shard, new Float32Array(length));
    await computer.evaluate(shard);
  } catch {
    // An op that needs the values of a tensor cannot be compiled ahead.
  } finally {
    tf.env().set(COMPILE_ONLY, false);
  }
  await backend.checkCompileCompletionAsync();
}
