import { availableParallelism, constants } from 'node:os';
import { dirname, join } from 'node:path';
import type { TF } from '../../../shared/util/tf.ts';
import { findAddon, createRequireFrom, type NativeCandidate } from '../locate/candidates.ts';
import { readdirSync } from 'node:fs';
import { Module } from 'node:module';

/** Functions of node:util that tfjs-node calls. Node 22 warns about them, and Node 23 has removed them. */
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
 * Sets environment variables that TensorFlow reads when its library is loaded, unless the user has set them: threads, log
 * level, GPU memory that grows on demand, full float32 precision on GPUs, and the order of GPUs.
 * @returns the number of threads that TensorFlow will use
 */
export function setNativeEnvironment(env: NodeJS.ProcessEnv): number {
  env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  // Ampere and later GPUs would round the factors of convolutions and matrix products to 10 bits of mantissa (TF32), as no
  // other worker does.
  env.NVIDIA_TF32_OVERRIDE ??= '0';
  // The order in which nvidia-smi counts GPUs.
  env.CUDA_DEVICE_ORDER ??= 'PCI_BUS_ID';
  const threads = Number(env.TF_NUM_INTRAOP_THREADS);
  if (Number.isInteger(threads) && threads > 0) return threads;
  const all = availableParallelism();
  env.TF_NUM_INTRAOP_THREADS = String(all);
  return all;
}

/** Number of threads of each of several workers that share the cores of a machine. */
export function threadsPerWorker(cores: number, workers: number): number {
  return Math.max(1, Math.floor(cores / workers));
}

/**
 * Loads tfjs-node.
 * @throws Error if it cannot be loaded; another candidate can be loaded then
 */
export async function loadNative({ package: name, variant, folder, missing }: NativeCandidate): Promise<TF> {
  if (missing !== null) throw new Error(missing);
  const require = createRequireFrom(folder);
  restoreLegacyUtil(require('node:util') as Record<string, unknown>);
  // The addon is loaded first: if it failed in the package, half of the kernels would stay in tfjs' global registry.
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

/** CUDA libraries that TensorFlow opens by name; they load the others. */
const OPENED_BY_NAME =
  /^lib(cudart|cublas|cublasLt|cufft|cusolver|cusparse|curand|cudnn|cupti|nccl|nvrtc|nvJitLink)\.so\.\d+$/;

/**
 * Lists the CUDA libraries of an engine that was built from a wheel. They are loaded first: libtensorflow_framework opens CUDA
 * by name, but its RUNPATH does not contain the folders of these libraries.
 */
export function cudaLibraries(bindingDir: string): string[] {
  const nvidia = join(bindingDir, 'deps', 'nvidia');
  return listFolder(nvidia).flatMap((part) =>
    listFolder(join(nvidia, part, 'lib'))
      .filter((name) => OPENED_BY_NAME.test(name))
      .map((name) => join(nvidia, part, 'lib', name)),
  );
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/**
 * RTLD_NODELETE of dlfcn.h on Linux and macOS, for which Node has no constant: the library stays loaded after it is closed.
 * Other platforms have no such flag.
 */
const RTLD_NODELETE = { linux: 0x1000, darwin: 0x80 }[process.platform as string] ?? 0;
const DLOPEN_FLAGS = constants.dlopen.RTLD_LAZY | RTLD_NODELETE;

/**
 * Loads an addon so that it stays in memory until the process ends. Node closes the addons of a thread when the thread
 * ends; TensorFlow's library has threads of its own and functions that run at exit, which would then run in memory that
 * is no longer there (a segmentation fault). Later `require` calls for the file return the same addon.
 * @throws Error if the file cannot be loaded
 */
export function loadResidentAddon(file: string, require: NodeJS.Require): void {
  const path = require.resolve(file);
  if (require.cache[path] !== undefined) return;
  const addon = new Module(path);
  addon.filename = path;
  process.dlopen(addon, path, DLOPEN_FLAGS);
  addon.loaded = true;
  require.cache[path] = addon;
}

/**
 * Loads libraries that are not addons and keeps them loaded, so that libraries that open them by name find these.
 * @returns the paths that could not be loaded
 */
export function loadResidentLibraries(paths: readonly string[]): string[] {
  return paths.filter((path) => {
    try {
      process.dlopen({ exports: {} }, path, DLOPEN_FLAGS);
      return false;
    } catch (error) {
      // The library is loaded; Node complains only that it is not an addon.
      return !(error as Error).message.includes('self-register');
    }
  });
}
