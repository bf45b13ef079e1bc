import * as v from 'valibot';
import { parseJson } from '../util/parse-json.ts';

/** Tells a process that measures to do so once. */
export const START = 'go';

const OUTPUT_PREFIX = 'gradcast-pace ';
const stepTimeSchema = v.object({
  /** Median of some gradient steps, in milliseconds; null: ready to measure. */
  stepMs: v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))),
  gpu: v.boolean(),
});
/** What a process that measures says. */
export type StepTime = v.InferOutput<typeof stepTimeSchema>;

export const formatStepTime = (pace: StepTime): string => `${OUTPUT_PREFIX}${JSON.stringify(pace)}`;

/** @returns null if the line says something else */
export function parseStepTime(line: string): StepTime | null {
  if (!line.startsWith(`${OUTPUT_PREFIX}{`)) return null;
  const { success, output } = v.safeParse(stepTimeSchema, parseJson(line.slice(OUTPUT_PREFIX.length)));
  return success ? output : null;
}
