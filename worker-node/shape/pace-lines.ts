import * as v from 'valibot';
import { parsed } from '../parsed.ts';

/** Tells a process that measures to do so once. */
export const GO = 'go';

const MARK = 'gradcast-pace ';
const paceSchema = v.object({
  /** Median of some gradient steps, in milliseconds; null: ready to measure. */
  stepMs: v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))),
  gpu: v.boolean(),
});
/** What a process that measures says. */
export type Pace = v.InferOutput<typeof paceSchema>;

export const paceLine = (pace: Pace): string => `${MARK}${JSON.stringify(pace)}`;

/** @returns null if the line says something else */
export function readPaceLine(line: string): Pace | null {
  if (!line.startsWith(`${MARK}{`)) return null;
  const { success, output } = v.safeParse(paceSchema, parsed(line.slice(MARK.length)));
  return success ? output : null;
}
