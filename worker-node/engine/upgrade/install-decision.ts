import { readFileSync } from 'node:fs';
import type { EngineChoice, InstallNative } from '../../../shared/engine/engine-choice.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import { engineCacheKey, recentFailure } from '../install/failure.ts';
import { hasGlibc, currentTarget, findInstallMethods, type Target } from '../locate/target.ts';

/** The processor's instruction sets, as far as they decide how fast native TensorFlow is. */
export type Processor = 'avx512' | 'avx2' | 'other';

/**
 * Steps a second of native TensorFlow to those of WebAssembly on the same cores, as measured with the default model
 * (docs/decisions/0015-first-run-installs.md).
 */
const SPEEDUP: Readonly<Record<Processor, number>> = { avx512: 1.7, avx2: 1.2, other: 1 };

/** Usual time of an installation at low priority beside workers that use all cores. */
const TYPICAL_INSTALL_MS = 180_000;
/** Part of the steps that a run loses while an installation is under way. */
const INSTALL_SLOWDOWN = 0.3;
/** Least gain that is worth a download of 274 MB and 3 GB of disk: so much time, and such a part of the time that remains. */
const MIN_GAIN_MS = 30_000;
const MIN_GAIN = 0.1;

/**
 * Whether installing native TensorFlow now makes the rest of a run shorter by half a minute and a tenth, or more.
 * @param remainingMs time that the run would still take with WebAssembly
 */
export function isWorthInstalling(processor: Processor, remainingMs: number): boolean {
  const nativeMs =
    Math.max(0, remainingMs - TYPICAL_INSTALL_MS * (1 - INSTALL_SLOWDOWN)) / SPEEDUP[processor];
  const gainMs = remainingMs - (TYPICAL_INSTALL_MS + nativeMs);
  return gainMs >= Math.max(MIN_GAIN_MS, MIN_GAIN * remainingMs);
}

/** Reads what Linux says of the processor; 'other' where that cannot be read. */
export function detectProcessor(file = '/proc/cpuinfo'): Processor {
  let flags: string;
  try {
    flags = /^flags\s*:(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  } catch {
    return 'other';
  }
  const has = new Set(flags.trim().split(/\s+/));
  if (has.has('avx512f')) return 'avx512';
  return has.has('avx2') && has.has('fma') ? 'avx2' : 'other';
}

export interface InstallEnvironment {
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
export async function canInstall(
  { engine, installNative }: { readonly engine: EngineChoice; readonly installNative: InstallNative },
  { cacheDir, nowMs, target = currentTarget(), env = process.env }: InstallEnvironment,
): Promise<boolean> {
  if (engine !== 'auto' || installNative === 'never') return false;
  if (nativeCandidates(cacheDir, target, env).some(({ missing }) => missing === null)) return false;
  if (findInstallMethods(target, 'cpu', target.platform !== 'linux' || hasGlibc()).unsupported !== undefined)
    return false;
  if (installNative === 'always') return true;
  return (await recentFailure(cacheDir, engineCacheKey(target, 'cpu'), nowMs)) === null;
}

/** Steps before a forecast is made; the first ones are slower than those that follow. */
const MIN_STEPS = 30;
const MIN_ELAPSED_MS = 5_000;

/** Forecasts how long a run still takes from the steps that a worker computed. Times are in milliseconds. */
export class RunForecast {
  #totalSteps: number | null = null;
  #first: { readonly step: number; readonly atMs: number } | null = null;

  /** Whether engines must not change: in exact mode, and as long as the mode is not known. */
  get isEngineFixed(): boolean {
    return this.#totalSteps === null;
  }

  /** A worker joined. @param totalSteps of the run; null if its engine must not change */
  onJoined(totalSteps: number | null): void {
    this.#totalSteps = totalSteps;
  }

  /** A worker computed its part of a step. @returns the time that the run still takes, or null before that is known */
  onComputed(step: number, nowMs: number): number | null {
    const first = this.#first;
    if (first === null || step < first.step) {
      this.#first = { step, atMs: nowMs };
      return null;
    }
    const steps = step - first.step;
    const elapsedMs = nowMs - first.atMs;
    if (this.#totalSteps === null || steps < MIN_STEPS || elapsedMs < MIN_ELAPSED_MS) return null;
    return Math.max(0, this.#totalSteps - step - 1) * (elapsedMs / steps);
  }
}
