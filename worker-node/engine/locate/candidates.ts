import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { cachedEngines, engineCacheDir } from './cache.ts';
import { packageName, currentTarget, type Target, type Variant } from './target.ts';

/** Place where a native engine may be installed. */
export interface NativeCandidate {
  readonly package: string;
  readonly variant: Variant;
  /** Folder of an engine in the cache; undefined for the packages that gradcast is installed with. */
  readonly folder?: string;
  /** Reason why the engine cannot be loaded, or null. */
  readonly missing: string | null;
}

const VARIANTS: readonly Variant[] = ['gpu', 'cpu'];

/** Lists the places of native engines, best first: GPU before CPU, installed packages before the cache. */
export function nativeCandidates(
  cacheDir: string = engineCacheDir(),
  target: Target = currentTarget(),
  env: NodeJS.ProcessEnv = process.env,
): NativeCandidate[] {
  const cached = cachedEngines(cacheDir, target);
  // For development: a folder whose node_modules holds tfjs-node.
  const developmentDir = env.GRADCAST_NATIVE_DIR;
  return VARIANTS.flatMap((variant) => {
    const name = packageName(variant);
    const installed: NativeCandidate = { package: name, variant, missing: findMissingPart(name) };
    const others = cached
      .filter(({ manifest }) => manifest.variant === variant)
      .map(({ folder }) => ({ package: name, variant, folder, missing: findMissingPart(name, folder) }));
    if (developmentDir === undefined || developmentDir === '') return [installed, ...others];
    const first: NativeCandidate = {
      package: name,
      variant,
      folder: developmentDir,
      missing: findMissingPart(name, developmentDir),
    };
    return [first, installed, ...others];
  });
}

/** Creates a `require` that resolves packages as a module in a folder does. */
export function createRequireFrom(folder?: string): NodeJS.Require {
  return createRequire(folder === undefined ? import.meta.url : join(folder, 'package.json'));
}

/** @returns the file of a package's addon, or null */
export function findAddon(name: string, folder?: string): string | null {
  let packageDir: string;
  try {
    packageDir = dirname(createRequireFrom(folder).resolve(`${name}/package.json`));
  } catch {
    return null;
  }
  const file = join(packageDir, 'lib', `napi-v${currentTarget().napi}`, 'tfjs_binding.node');
  return existsSync(file) ? file : null;
}

function findMissingPart(name: string, folder?: string): string | null {
  try {
    createRequireFrom(folder).resolve(`${name}/package.json`);
  } catch {
    return 'not installed';
  }
  return findAddon(name, folder) === null ? 'installed without its addon' : null;
}
