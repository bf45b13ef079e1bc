import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { TF } from '../../shared/engine/model.ts';
import { findAddon, createRequireFrom, type NativeCandidate } from './candidates.ts';
import { cudaLibraries } from './cuda-libraries.ts';
import { loadResidentAddon, loadResidentLibraries } from './resident-libraries.ts';

/** node:util as it was before version 22, which warns of these, and 23, which has them no more; tfjs-node calls them. */
const LEGACY_UTIL: Readonly<Record<string, (value: unknown) => boolean>> = {
  isNullOrUndefined: (value) => value === null || value === undefined,
  isArray: (value) => Array.isArray(value),
  isString: (value) => typeof value === 'string',
  isNumber: (value) => typeof value === 'number',
  isBoolean: (value) => typeof value === 'boolean',
  isFunction: (value) => typeof value === 'function',
  isObject: (value) => value !== null && typeof value === 'object',
  isUndefined: (value) => value === undefined,
  isNull: (value) => value === null,
};

/**
 * Sets what TensorFlow reads from the environment when its library is loaded, where the person has not: its threads, its
 * log without chatter, GPU memory taken as it is needed, float32 that is float32 on GPUs, and the order of GPUs.
 * @returns the threads that it will use
 */
export function setNativeEnvironment(env: NodeJS.ProcessEnv): number {
  env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  // Ampere and later GPUs would round what convolutions and products multiply to 10 bits of mantissa (TF32), which no
  // other worker does.
  env.NVIDIA_TF32_OVERRIDE ??= '0';
  // GPUs are counted as nvidia-smi counts them.
  env.CUDA_DEVICE_ORDER ??= 'PCI_BUS_ID';
  const threads = Number(env.TF_NUM_INTRAOP_THREADS);
  if (Number.isInteger(threads) && threads > 0) return threads;
  const all = availableParallelism();
  env.TF_NUM_INTRAOP_THREADS = String(all);
  return all;
}

/** The threads of each of several workers on one machine, so that together they are as many as the cores. */
export function threadsPerWorker(cores: number, workers: number): number {
  return Math.max(1, Math.floor(cores / workers));
}

/** @throws Error if it cannot be loaded; nothing is left behind then, so that another may be tried */
export async function loadNative({ package: name, variant, folder, missing }: NativeCandidate): Promise<TF> {
  if (missing !== null) throw new Error(missing);
  const require = createRequireFrom(folder);
  restoreLegacyUtil(require('node:util') as Record<string, unknown>);
  // The addon by itself first: the package fails after it has left half of its kernels in tfjs' global registry.
  const addon = findAddon(name, folder);
  if (variant === 'gpu') {
    loadResidentLibraries(cudaLibraries(dirname(require.resolve(`${name}/package.json`))));
  }
  if (addon !== null) loadResidentAddon(addon, require);
  const tf = require(name) as TF;
  await tf.ready();
  if (tf.getBackend() !== 'tensorflow') throw new Error(`its backend is ${tf.getBackend()}`);
  return tf;
}

export function restoreLegacyUtil(util: Record<string, unknown>): void {
  for (const [name, is] of Object.entries(LEGACY_UTIL)) util[name] = is;
}
