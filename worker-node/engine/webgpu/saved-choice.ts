import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { loadChoice, saveChoice, type CachedChoice } from '../../util/saved-choices.ts';
import { engineCacheDir } from '../locate/cache.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import { listGpus } from './gpus.ts';
import { gpuOfEnv } from './open-webgpu.ts';
import { findWebGpuPackage, WEBGPU_VERSION } from './webgpu-package.ts';

/** File with the results of measurements. */
const choicesFile = (): string => join(dirname(engineCacheDir()), 'shapes.json');

/** Saved result of measuring WebGPU: 0 workers if it is not used. */
export const loadGpuChoice = (key: string): CachedChoice | null => loadChoice(choicesFile(), key);

export const saveGpuChoice = (key: string, choice: CachedChoice): void =>
  saveChoice(choicesFile(), key, choice);

/** Whether a measurement of this machine was saved that prefers WebGPU. False without the package, and without a GPU. */
export async function hasChosenWebGpu(): Promise<boolean> {
  const key = await gpuKey();
  return key !== null && (loadGpuChoice(key)?.workers ?? 0) > 0;
}

/** Everything that a measurement depends on; null without WebGPU or a GPU. */
export async function gpuKey(): Promise<string | null> {
  if (findWebGpuPackage() === null) return null;
  const { gpu, powerPreference } = gpuOfEnv(process.env);
  const gpus = await listGpus({ powerPreference }).catch(() => []);
  if (gpus.length === 0) return null;
  const native = nativeCandidates().find(({ missing }) => missing === null);
  return [
    ...['webgpu', WEBGPU_VERSION, ...gpus.map(({ name }) => name)],
    ...(gpu === undefined ? [] : [`only ${gpu}`]),
    ...(powerPreference === 'low-power' ? [powerPreference] : []),
    native === undefined ? 'wasm' : (native.folder ?? native.package),
    `${availableParallelism()} cores`,
  ].join(', ');
}
