import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import envPaths from 'env-paths';
import * as v from 'valibot';
import { packageName, TFJS_VERSION, type Target, type Variant } from './target.ts';

/** Origin of an engine in the cache. */
const manifestSchema = v.object({
  format: v.literal(1),
  platform: v.string(),
  arch: v.string(),
  napi: v.number(),
  tfjs: v.string(),
  tensorflow: v.string(),
  variant: v.picklist(['cpu', 'gpu']),
  way: v.picklist(['download', 'wheel']),
});
export type Manifest = v.InferOutput<typeof manifestSchema>;

export interface CachedEngine {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** File name of an engine's manifest. */
export const MANIFEST_FILE = 'engine.json';

/** Folder of the installed engines, one folder each, in the platform's cache folder. */
export function engineCacheDir(): string {
  return join(envPaths('gradcast', { suffix: '' }).cache, 'engine');
}

/**
 * Lists the engines in the cache that this process can load, those for a GPU first, then newer TensorFlow first. Folders
 * without a valid manifest are skipped.
 */
export function cachedEngines(cacheDir: string, target: Target): CachedEngine[] {
  let names: string[];
  try {
    names = readdirSync(cacheDir);
  } catch {
    return [];
  }
  return names
    .filter((name) => !name.startsWith('.'))
    .map((name) => join(cacheDir, name))
    .flatMap((folder) => {
      const manifest = readManifest(folder);
      return manifest !== null && matchesTarget(manifest, target) ? [{ folder, manifest }] : [];
    })
    .toSorted(
      (a, b) =>
        Number(b.manifest.variant === 'gpu') - Number(a.manifest.variant === 'gpu') ||
        b.manifest.tensorflow.localeCompare(a.manifest.tensorflow, 'en', { numeric: true }),
    );
}

/** Folder of the binding's package in an engine's folder. */
export const bindingDir = (folder: string, variant: Variant): string =>
  join(folder, 'node_modules', ...packageName(variant).split('/'));

function readManifest(folder: string): Manifest | null {
  try {
    const parsed = v.safeParse(
      manifestSchema,
      JSON.parse(readFileSync(join(folder, MANIFEST_FILE), 'utf8')) as unknown,
    );
    return parsed.success && existsSync(bindingDir(folder, parsed.output.variant)) ? parsed.output : null;
  } catch {
    return null;
  }
}

function matchesTarget(manifest: Manifest, target: Target): boolean {
  return (
    manifest.platform === target.platform &&
    manifest.arch === target.arch &&
    manifest.napi === target.napi &&
    manifest.tfjs === TFJS_VERSION
  );
}
