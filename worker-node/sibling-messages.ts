import * as v from 'valibot';
import type { Job } from '../shared/model/job.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.variant('type', [
  /** The worker has loaded the job. `totalSteps` is null in exact mode, where engines must not change. */
  v.object({ type: v.literal('joined'), totalSteps: v.nullable(count) }),
  /** The worker has computed a gradient of this step. */
  v.object({ type: v.literal('computed'), step: count }),
]);

/** What a worker process tells the process that started it. */
export type SiblingMessage = v.InferOutput<typeof schema>;

/** @returns null for anything else */
export function parseSiblingMessage(message: unknown): SiblingMessage | null {
  const { success, output } = v.safeParse(schema, message);
  return success ? output : null;
}

/** Sends to the parent process, if it listens. */
export function tellParent(message: SiblingMessage): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Steps of a whole run; null in exact mode. */
export function totalSteps({ epochs, batchSize, data, microShard }: Job): number | null {
  return microShard === undefined ? epochs * Math.ceil(data.trainSamples / batchSize) : null;
}
