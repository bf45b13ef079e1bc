import * as v from 'valibot';
import { parseJson } from '../util/parse-json.ts';

/** Line that starts a measurement. */
export const START = 'go';

const OUTPUT_PREFIX = 'gradcast-pace ';
const stepTimeSchema = v.object({
  /** Median of some gradient steps, in milliseconds; null when the process is ready to measure. */
  stepMs: v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))),
  gpu: v.boolean(),
});
/** Line of a measuring process. */
export type StepTime = v.InferOutput<typeof stepTimeSchema>;

export const formatStepTime = (time: StepTime): string => `${OUTPUT_PREFIX}${JSON.stringify(time)}`;

/** @returns null for any other line */
export function parseStepTime(line: string): StepTime | null {
  if (!line.startsWith(`${OUTPUT_PREFIX}{`)) return null;
  const { success, output } = v.safeParse(stepTimeSchema, parseJson(line.slice(OUTPUT_PREFIX.length)));
  return success ? output : null;
}
