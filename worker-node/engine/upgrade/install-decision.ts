import { readFileSync } from 'node:fs';
import type { EngineChoice, InstallNative } from '../../../shared/engine/engine-choice.ts';
import { nativeCandidates } from '../locate/candidates.ts';
import { engineCacheKey, recentFailure } from '../install/failure.ts';
import { hasGlibc, currentTarget, findInstallMethods, type Target } from '../locate/target.ts';

/** Instruction sets of the processor that decide how fast native TensorFlow is. */
export type Processor = 'avx512' | 'avx2' | 'other';

/**
 * Speed of native TensorFlow relative to WebAssembly on the same cores, measured with the default model
 * (docs/decisions/0015-first-run-installs.md).
 */
const SPEEDUP: Readonly<Record<Processor, number>> = { avx512: 1.7, avx2: 1.2, other: 1 };

/** Typical time of an installation at low priority while workers use all cores. */
const TYPICAL_INSTALL_MS = 180_000;
/** Share of the steps that a run loses during an installation. */
const INSTALL_SLOWDOWN = 0.3;
/** Smallest gain that is worth a download of 274 MB and 3 GB of disk: in time, and relative to the remaining time. */
const MIN_GAIN_MS = 30_000;
const MIN_GAIN = 0.1;

/**
 * Whether installing native TensorFlow now shortens the rest of a run by at least half a minute and a tenth.
 * @param remainingMs remaining time of the run with WebAssembly
 */
export function isWorthInstalling(processor: Processor, remainingMs: number): boolean {
  const nativeMs =
    Math.max(0, remainingMs - TYPICAL_INSTALL_MS * (1 - INSTALL_SLOWDOWN)) / SPEEDUP[processor];
  const gainMs = remainingMs - (TYPICAL_INSTALL_MS + nativeMs);
  return gainMs >= Math.max(MIN_GAIN_MS, MIN_GAIN * remainingMs);
}

/** Reads the instruction sets from Linux; 'other' if they cannot be read. */
export function detectProcessor(file = '/proc/cpuinfo'): Processor {
  let flags: string;
  try {
    flags = /^flags\s*:(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  } catch {
    return 'other';
  }
  const supported = new Set(flags.trim().split(/\s+/));
  if (supported.has('avx512f')) return 'avx512';
  return supported.has('avx2') && supported.has('fma') ? 'avx2' : 'other';
}

export interface InstallEnvironment {
  readonly cacheDir: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly target?: Target;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Whether native TensorFlow may be installed while WebAssembly workers compute: it is missing, the user has not declined,
 * the platform supports it, and no installation has failed in the last hours.
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

/** Steps before the first forecast; the first steps are slower than later ones. */
const MIN_STEPS = 30;
const MIN_ELAPSED_MS = 5_000;

/** Forecasts the remaining time of a run from the steps that a worker computed. Times are in milliseconds. */
export class RunForecast {
  #totalSteps: number | null = null;
  #first: { readonly step: number; readonly atMs: number } | null = null;

  /** Whether engines must not change: in exact mode, and until the mode is known. */
  get isEngineFixed(): boolean {
    return this.#totalSteps === null;
  }

  /**
   * Records that a worker joined.
   * @param totalSteps steps of the run; null if its engine must not change
   */
  onJoined(totalSteps: number | null): void {
    this.#totalSteps = totalSteps;
  }

  /**
   * Records that a worker computed its part of a step.
   * @returns the remaining time of the run, or null if it is not known yet
   */
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
