import type { EngineChoice, InstallNative } from '../../../shared/engine/engine-choice.ts';
import { nativeCandidates } from '../candidates.ts';
import { engineCacheKey, recentFailure } from '../install/failure.ts';
import { hasGlibc, thisTarget, waysOf, type Target } from '../install/target.ts';

export interface Machine {
  readonly cacheDir: string;
  /** Since 1970. */
  readonly nowMs: number;
  readonly target?: Target;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Whether native TensorFlow may be installed while WebAssembly workers compute: it is missing, the person has not
 * declined, this platform can have it, and it has not failed in the last hours.
 */
export async function mayInstall(
  { engine, installNative }: { readonly engine: EngineChoice; readonly installNative: InstallNative },
  { cacheDir, nowMs, target = thisTarget(), env = process.env }: Machine,
): Promise<boolean> {
  if (engine !== 'auto' || installNative === 'never') return false;
  if (nativeCandidates(cacheDir, target, env).some(({ missing }) => missing === null)) return false;
  if (waysOf(target, 'cpu', target.platform !== 'linux' || hasGlibc()).unsupported !== undefined)
    return false;
  if (installNative === 'always') return true;
  return (await recentFailure(cacheDir, engineCacheKey(target, 'cpu'), nowMs)) === null;
}
