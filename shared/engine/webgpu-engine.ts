import { webGpuTransfers } from '../kernels/webgpu/backend.ts';
import { refuseLargeDispatches, type ProgramBackend } from '../kernels/webgpu/in-parts.ts';
import { outOfMemory, watchMemory, type MemoryBackend } from '../kernels/webgpu/memory.ts';
import { registerWebGpuKernels } from '../kernels/webgpu/register.ts';
import { setReproducible } from '../kernels/webgpu/reproducible.ts';
import type { Clock } from '../util/clock.ts';
import type { TF } from '../util/tf.ts';
import { randomShard } from '../data/random-shard.ts';
import type { Job } from '../model/job.ts';
import { layoutOf } from '../model/layout.ts';
import type { Step } from '../protocol/messages.ts';
import type { Engine, GradientComputer } from './engine.ts';
import { createEngine } from './tf-engine.ts';

/** Kinds of errors that WebGPU reports apart from calls, the most telling one first: the others may be its consequences. */
const ERROR_SCOPES = ['out-of-memory', 'internal', 'validation'] as const;

/** Used part of tfjs' WebGPUBackend, and of WebGPU, for which TypeScript has no types. */
interface WebGpuBackend extends MemoryBackend, ProgramBackend {
  /** Waits for the pipelines that are compiled at the same time. */
  checkCompileCompletionAsync(): Promise<void>;
  readonly device: MemoryBackend['device'] & {
    readonly lost: Promise<{ readonly message: string }>;
    destroy(): void;
    pushErrorScope(filter: (typeof ERROR_SCOPES)[number]): void;
    popErrorScope(): Promise<{ readonly message: string } | null>;
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
  /**
   * Registers a callback for the loss of the GPU. It is called before a failed computation is rejected, so that no wrong gradient
   * is sent.
   */
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
  refuseLargeDispatches(backend);
  const info = { backend: 'webgpu', version: tf.version.tfjs, device, threads: 1 };
  const callbacks: ((reason: string) => void)[] = [];
  const reasons: string[] = [];
  const lose = (reason: string): void => {
    reasons.push(reason);
    for (const callback of callbacks) callback(reason);
  };
  const freeUnused = watchMemory(backend, lose);
  const takeError = collectErrors(backend);
  const watch = async <T>(transfer: Promise<T>): Promise<T> => {
    const stop = clock.after(HUNG_AFTER_MS, () => lose(`it has not answered for ${HUNG_AFTER_MS / 1000} s`));
    try {
      const [read, reason] = await Promise.all([
        transfer.then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        ),
        takeError(),
      ]);
      if (reason !== null) {
        lose(reason);
        throw new Error(`The engine was lost: ${reason}`);
      }
      if ('error' in read) throw read.error;
      return read.value;
    } finally {
      stop();
      freeUnused();
    }
  };
  const engine = createEngine(tf, info, webGpuTransfers(tf, watch));
  return {
    engine: {
      info,
      load: async (job, module) => {
        setReproducible(tf, job.microShard !== undefined);
        const computer = await engine.load(job, module);
        await compilePipelines(tf, backend, job, computer);
        // An error of the device was taken there.
        if (reasons.length > 0) throw new Error(`The engine was lost: ${reasons.join('; ')}`);
        return computer;
      },
    },
    onLost(callback) {
      callbacks.push(callback);
      void backend.device.lost.then(({ message }) => callback(message || lostReason));
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

/**
 * Collects the errors that a device reports apart from calls. A shader that does not compile, for example, computes nothing, and
 * its output keeps what the memory contained.
 * @returns a function that resolves to the reason of an error since the last call, or null, once the GPU has seen all commands
 */
function collectErrors(backend: WebGpuBackend): () => Promise<string | null> {
  const { device } = backend;
  const open = (): void => {
    for (const filter of ERROR_SCOPES) device.pushErrorScope(filter);
  };
  open();
  return async () => {
    // The scope that was opened last is the innermost one. A lost device has no errors.
    const popped = ERROR_SCOPES.map(() => device.popErrorScope().catch(() => null)).reverse();
    open();
    const errors = await Promise.all(popped);
    const first = errors.findIndex((error) => error !== null);
    if (first < 0) return null;
    if (ERROR_SCOPES[first] === 'out-of-memory') return outOfMemory(backend);
    return `the GPU cannot compute an operation: ${errors[first]?.message.split('\n')[0]}`;
  };
}
