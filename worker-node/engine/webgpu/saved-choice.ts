import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { chosenKeys, loadChoice, saveChoice, type CachedChoice } from '../../util/saved-choices.ts';
import { engineCacheDir } from '../locate/cache.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import { listGpus, type ListedGpu } from './gpus.ts';
import { gpuOfEnv } from './open-webgpu.ts';
import { findWebGpuPackage, WEBGPU_VERSION } from './webgpu-package.ts';

/** File with the results of measurements. */
const choicesFile = (): string => join(dirname(engineCacheDir()), 'shapes.json');

/** Saved result of measuring WebGPU: 0 workers if it is not used. */
export const loadGpuChoice = (key: string): CachedChoice | null => loadChoice(choicesFile(), key);

export const saveGpuChoice = (key: string, choice: CachedChoice): void =>
  saveChoice(choicesFile(), key, choice);

/** First parts of all keys. */
const PREFIX = ['webgpu', WEBGPU_VERSION];

/** Whether a measurement of this machine was saved that prefers WebGPU. False without the package, and without a GPU. */
export async function hasChosenWebGpu(): Promise<boolean> {
  const start = `${PREFIX.join(', ')}, `;
  // A driver that crashes is not loaded in vain.
  if (!chosenKeys(choicesFile()).some((key) => key.startsWith(start))) return false;
  const { powerPreference } = gpuOfEnv(process.env);
  const key = gpuKey(await listGpus({ powerPreference }).catch(() => []));
  return key !== null && (loadGpuChoice(key)?.workers ?? 0) > 0;
}

/**
 * Everything that a measurement depends on; null without WebGPU or a GPU.
 * @param gpus of this machine, in Dawn's order
 */
export function gpuKey(gpus: readonly Pick<ListedGpu, 'name'>[]): string | null {
  if (findWebGpuPackage() === null || gpus.length === 0) return null;
  const { gpu, powerPreference } = gpuOfEnv(process.env);
  const native = nativeCandidates().find(({ missing }) => missing === null);
  return [
    ...[...PREFIX, ...gpus.map(({ name }) => name)],
    ...(gpu === undefined ? [] : [`only ${gpu}`]),
    ...(powerPreference === 'low-power' ? [powerPreference] : []),
    native === undefined ? 'wasm' : (native.folder ?? native.package),
    `${availableParallelism()} cores`,
  ].join(', ');
}
