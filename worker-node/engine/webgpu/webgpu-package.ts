import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { engineCacheDir } from '../locate/cache.ts';
import { createRequireFrom } from '../locate/candidates.ts';

/** Package with Dawn, Chromium's WebGPU, for Node, and the version that `gradcast engine install --webgpu` installs. */
export const WEBGPU_PACKAGE = 'webgpu';
export const WEBGPU_VERSION = '0.6.2';

/** Dawn's addon: `create` opens the GPUs, `globals` are the classes of WebGPU. */
export interface Dawn {
  /** @param options of Dawn, 'name=value' */
  create(options: readonly string[]): Gpu;
  readonly globals: Readonly<Record<string, unknown>>;
}

/** WebGPU's `navigator.gpu`. */
export interface Gpu {
  requestAdapter(options?: { readonly powerPreference?: PowerPreference }): Promise<GpuAdapter | null>;
}

/** Which of several GPUs WebGPU prefers. */
export type PowerPreference = 'high-performance' | 'low-power';

export interface GpuAdapter {
  readonly info: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    /** Whether the processor computes in place of a GPU. */
    readonly isFallbackAdapter?: boolean;
  };
}

/** Folder of the package in the cache of engines. */
export const webGpuFolder = (cacheDir: string = engineCacheDir()): string =>
  join(cacheDir, `webgpu-${WEBGPU_VERSION}`);

/** File of the package: that which gradcast is installed with, else the one in the cache; null if there is none. */
export function findWebGpuPackage(cacheDir?: string): string | null {
  return resolvePackage(undefined) ?? resolvePackage(webGpuFolder(cacheDir));
}

/** File of the package as a module in a folder finds it, or null. */
export function resolvePackage(folder: string | undefined): string | null {
  if (folder !== undefined && !existsSync(folder)) return null;
  try {
    return createRequireFrom(folder).resolve(WEBGPU_PACKAGE);
  } catch {
    return null;
  }
}

/**
 * Loads Dawn.
 * @throws Error with a sentence if the package is missing or its addon cannot be loaded
 */
export async function loadDawn(file: string | null = findWebGpuPackage()): Promise<Dawn> {
  if (file === null) throw new Error(`the package ${WEBGPU_PACKAGE} is not installed`);
  return (await import(pathToFileURL(file).href)) as Dawn;
}
