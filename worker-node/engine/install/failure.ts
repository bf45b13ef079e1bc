import { readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { engineKey, WHEEL_TENSORFLOW_VERSION, type Target, type Variant } from '../locate/target.ts';

const failureSchema = v.object({
  /** Engine and machine, as engineCacheKey() names them. */
  key: v.string(),
  atMs: v.number(),
  /** Reason in one sentence. */
  why: v.string(),
});
export type InstallFailure = v.InferOutput<typeof failureSchema>;

/** Time before a failed installation is tried again. */
const RETRY_AFTER_MS = 12 * 3_600_000;
const FAILURE_FILE = '.failed.json';

/** Key of an installation. Another version of the engine may work, and so may another machine that shares the cache. */
export const engineCacheKey = (target: Target, variant: Variant): string =>
  `${engineKey(target, variant, WHEEL_TENSORFLOW_VERSION)}@${hostname()}`;

/** Writes a failure to the cache. A write error is ignored: the cache could not hold an engine either. */
export async function recordFailure(cacheDir: string, failure: InstallFailure): Promise<void> {
  await writeFile(join(cacheDir, FAILURE_FILE), `${JSON.stringify(failure)}\n`).catch(() => undefined);
}

export async function clearFailure(cacheDir: string, key: string): Promise<void> {
  if ((await readFailure(cacheDir))?.key === key) await rm(join(cacheDir, FAILURE_FILE), { force: true });
}

/** @returns the last failure of this installation if it is too recent to try again, else null */
export async function recentFailure(
  cacheDir: string,
  key: string,
  nowMs: number,
): Promise<InstallFailure | null> {
  const failure = await readFailure(cacheDir);
  if (failure?.key !== key) return null;
  const ageMs = nowMs - failure.atMs;
  return ageMs >= 0 && ageMs < RETRY_AFTER_MS ? failure : null;
}

async function readFailure(cacheDir: string): Promise<InstallFailure | null> {
  try {
    const json = JSON.parse(await readFile(join(cacheDir, FAILURE_FILE), 'utf8')) as unknown;
    const parsed = v.safeParse(failureSchema, json);
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}
