import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { makeFolder } from '../make-folder.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const choicesSchema = v.record(v.string(), v.object({ workers: count, line: v.string() }));

/** How many workers were found to be best, and what was said about it. */
export type CachedChoice = v.InferOutput<typeof choicesSchema>[string];

/** @returns null if this was not measured yet, or the file cannot be read */
export function loadChoice(file: string, key: string): CachedChoice | null {
  return readChoices(file)[key] ?? null;
}

/** Writes it to the file; if that fails or the file is cut short, it will be measured again. */
export function saveChoice(file: string, key: string, shape: CachedChoice): void {
  try {
    makeFolder(dirname(file));
    writeFileSync(file, `${JSON.stringify({ ...readChoices(file), [key]: shape }, null, 2)}\n`);
  } catch {
    // As said.
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
