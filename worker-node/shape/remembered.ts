import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { makeFolder } from '../make-folder.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const shapesSchema = v.record(v.string(), v.object({ workers: count, line: v.string() }));

/** How many workers were found to be best, and what was said about it. */
export type Remembered = v.InferOutput<typeof shapesSchema>[string];

/** @returns null if this was not measured yet, or the file cannot be read */
export function recall(file: string, key: string): Remembered | null {
  return read(file)[key] ?? null;
}

/** Writes it to the file; if that fails or the file is cut short, it will be measured again. */
export function remember(file: string, key: string, shape: Remembered): void {
  try {
    makeFolder(dirname(file));
    writeFileSync(file, `${JSON.stringify({ ...read(file), [key]: shape }, null, 2)}\n`);
  } catch {
    // As said.
  }
}

function read(file: string): Record<string, Remembered> {
  try {
    const { success, output } = v.safeParse(shapesSchema, JSON.parse(readFileSync(file, 'utf8')) as unknown);
    return success ? output : {};
  } catch {
    return {};
  }
}
