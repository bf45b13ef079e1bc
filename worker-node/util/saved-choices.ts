import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { makeFolder } from './make-folder.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const choicesSchema = v.record(v.string(), v.object({ workers: count, line: v.string() }));

/** Saved number of workers, 0 for none of what was measured, and the line that was printed about it. */
export type CachedChoice = v.InferOutput<typeof choicesSchema>[string];

/** @returns null if there is no measurement, or the file cannot be read */
export function loadChoice(file: string, key: string): CachedChoice | null {
  return readChoices(file)[key] ?? null;
}

/** Lists the keys of measurements that chose at least one worker. */
export const chosenKeys = (file: string): string[] =>
  Object.entries(readChoices(file)).flatMap(([key, { workers }]) => (workers > 0 ? [key] : []));

/** Saves a choice. If that fails or the file is truncated, it will be measured again. */
export function saveChoice(file: string, key: string, choice: CachedChoice): void {
  try {
    makeFolder(dirname(file));
    writeFileSync(file, `${JSON.stringify({ ...readChoices(file), [key]: choice }, null, 2)}\n`);
  } catch {
    // Measured again next time.
  }
}

function readChoices(file: string): Record<string, CachedChoice> {
  try {
    const { success, output } = v.safeParse(choicesSchema, JSON.parse(readFileSync(file, 'utf8')) as unknown);
    return success ? output : {};
  } catch {
    return {};
  }
}
