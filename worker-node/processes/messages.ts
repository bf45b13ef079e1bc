import * as v from 'valibot';
import type { Job } from '../../shared/model/job.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const line = v.pipe(v.string(), v.maxLength(5_000));
const messageSchema = v.variant('type', [
  /** The engine is open. */
  v.object({ type: v.literal('engine'), text: line }),
  /** The worker has loaded the job. */
  v.object({
    type: v.literal('joined'),
    totalSteps: count,
    data: v.optional(line, ''),
    batchSize: v.optional(count, 0),
    url: v.optional(line),
  }),
  /** The worker has computed a gradient of this step. */
  v.object({ type: v.literal('computed'), step: count, samples: v.optional(count, 0) }),
  /** The worker has no connection and waits before the next attempt. */
  v.object({
    type: v.literal('waiting'),
    reason: line,
    waitMs: v.pipe(v.number(), v.minValue(0)),
    url: v.optional(line),
    /** Sentences about what to do, which are the same for all attempts at this address. */
    advice: v.optional(line),
  }),
  /** The worker is on standby, or takes part again. */
  v.object({ type: v.literal('standby'), onStandby: v.boolean(), reason: line }),
  /** The worker has ended. */
  v.object({ type: v.literal('ended'), reason: line }),
  /** The coordinator has refused the worker. */
  v.object({ type: v.literal('refused'), reason: line }),
]);

/** Message from a worker process to the process that started it. */
export type WorkerProcessMessage = v.InferOutput<typeof messageSchema>;

/** @returns null for an invalid message */
export function parseWorkerProcessMessage(message: unknown): WorkerProcessMessage | null {
  const { success, output } = v.safeParse(messageSchema, message);
  return success ? output : null;
}

/** Sends to the parent process. Resolves when the message is sent or cannot be sent. */
export function sendToParent(message: WorkerProcessMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected && process.send !== undefined) {
      process.send(message, undefined, undefined, () => resolve());
    } else resolve();
  });
}

/** Number of steps of a run. */
export function totalSteps({ epochs, batchSize, data }: Job): number {
  return epochs * Math.ceil(data.trainSamples / batchSize);
}
