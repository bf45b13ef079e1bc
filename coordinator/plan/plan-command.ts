import { describePlan } from './describe-plan.ts';

export interface PlanFlags {
  readonly workers: number;
  /** Bits a second. */
  readonly rate: number;
  readonly coordinatorRate?: number;
  /** One way, ms. */
  readonly delay: number;
  readonly msPerSample: number;
  readonly batchSize: number;
  readonly codec: string;
  readonly parameters: number;
  readonly sampleBytes: number;
  readonly tailAt: number;
}

const DEFAULT_MODEL = { values: 600_810, kernel: { offset: 9_568, inputs: 4_608, outputs: 128 } };
/** The coordinator is on a better line than its workers, but hardly on more than this. */
const MAX_COORDINATOR_RATE = 1e9;

/** @returns lines for the person */
export function runPlan({ codec, delay, parameters, rate, coordinatorRate, ...rest }: PlanFlags): string[] {
  return describePlan(
    {
      ...rest,
      rate,
      delayMs: delay,
      parameterCount: parameters,
      // The default model's; of another one only the number of its parameters is known here.
      kernel: parameters === DEFAULT_MODEL.values ? DEFAULT_MODEL.kernel : null,
      coordinatorRate: coordinatorRate ?? Math.max(rate, Math.min(MAX_COORDINATOR_RATE, 10 * rate)),
    },
    codec,
  );
}
