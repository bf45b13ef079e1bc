import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

/** Of dlfcn.h on Linux: a library stays when it is closed, as Node closes what is no addon. */
const RTLD_NODELETE = 0x1000;

/** What TensorFlow opens by name; the rest comes with these. */
const OPENED_BY_NAME =
  /^lib(cudart|cublas|cublasLt|cufft|cusolver|cusparse|curand|cudnn|cupti|nccl|nvrtc|nvJitLink)\.so\.\d+$/;

/** The CUDA libraries that a wheel's engine brings, the paths under its nvidia/ folder. */
export function cudaLibraries(bindingDir: string): string[] {
  const nvidia = join(bindingDir, 'deps', 'nvidia');
  return names(nvidia).flatMap((part) =>
    names(join(nvidia, part, 'lib'))
      .filter((name) => OPENED_BY_NAME.test(name))
      .map((name) => join(nvidia, part, 'lib', name)),
  );
}

/**
 * Loads libraries into this process, so that whoever opens them by name gets these. libtensorflow_framework opens all of
 * CUDA, but its RUNPATH does not name the folder of each.
 * @returns those that could not be loaded
 */
export function preloadLibraries(paths: readonly string[]): string[] {
  return paths.filter((path) => {
    try {
      process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_LAZY | RTLD_NODELETE);
      return false;
    } catch (error) {
      // Loaded, and found to be no addon: what was wanted.
      return !(error as Error).message.includes('self-register');
    }
  });
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
