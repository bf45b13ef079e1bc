import { readFileSync } from 'node:fs';

/** The processor's instruction sets, as far as they decide how fast native TensorFlow is. */
export type Processor = 'avx512' | 'avx2' | 'other';

/**
 * Steps a second of native TensorFlow to those of WebAssembly on the same cores, as measured with the default model
 * (docs/decisions/native-during-a-run.md).
 */
const SPEEDUP: Readonly<Record<Processor, number>> = { avx512: 2, avx2: 1.2, other: 1 };

/** Usual time of an installation at low priority beside workers that use all cores. */
const INSTALL_MS = 300_000;
/** Part of the steps that a run loses while an installation is under way. */
const SLOWDOWN = 0.2;
/** The least gain that is worth a download of 274 MB and 3 GB of disk. */
const MIN_GAIN_MS = 60_000;

/**
 * Whether installing native TensorFlow now makes the rest of a run shorter by a minute or more.
 * @param remainingMs time that the run would still take with WebAssembly
 */
export function isWorthInstalling(processor: Processor, remainingMs: number): boolean {
  const nativeMs = Math.max(0, remainingMs - INSTALL_MS * (1 - SLOWDOWN)) / SPEEDUP[processor];
  return remainingMs - (INSTALL_MS + nativeMs) >= MIN_GAIN_MS;
}

/** Reads what Linux says of the processor; 'other' where that cannot be read. */
export function thisProcessor(file = '/proc/cpuinfo'): Processor {
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
