import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** What TensorFlow opens by name; the rest comes with these. */
const OPENED_BY_NAME =
  /^lib(cudart|cublas|cublasLt|cufft|cusolver|cusparse|curand|cudnn|cupti|nccl|nvrtc|nvJitLink)\.so\.\d+$/;

/**
 * The CUDA libraries that a wheel's engine brings, the paths under its nvidia/ folder. They are loaded first:
 * libtensorflow_framework opens all of CUDA by name, but its RUNPATH does not name the folder of each.
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
