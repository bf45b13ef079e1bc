import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nativeCandidates } from './candidates.ts';
import type { EngineChoice } from './choose.ts';
import { engineCacheDir } from './install/cache.ts';
import { hasGlibc, thisTarget, waysOf, type Target } from './install/target.ts';

/**
 * What to tell a person whose machine could have a native engine and has none; null if there is nothing to tell. Told
 * once, so that nobody is pestered who is content with WebAssembly. An installation without being asked belongs here.
 * @param typed how gradcast is started on a command line
 */
export function firstRunAdvice(
  choice: EngineChoice,
  typed: string,
  cacheDir: string = engineCacheDir(),
  target: Target = thisTarget(),
): string | null {
  if (choice !== 'auto') return null;
  if (nativeCandidates(cacheDir, target).some(({ missing }) => missing === null)) return null;
  if (waysOf(target, 'cpu', target.platform !== 'linux' || hasGlibc()).unsupported !== undefined) return null;
  return firstTime(cacheDir) ? installAdvice(typed) : null;
}

export const installAdvice = (typed: string): string =>
  `No native TensorFlow here yet; this gets it: ${typed} engine install (with --gpu for an NVIDIA GPU)`;

function firstTime(cacheDir: string): boolean {
  try {
    mkdirSync(cacheDir, { recursive: true });
    writeFileSync(join(cacheDir, '.told'), '', { flag: 'wx' });
    return true;
  } catch {
    // Told before; or the cache cannot be written, and could not take an engine either.
    return false;
  }
}
