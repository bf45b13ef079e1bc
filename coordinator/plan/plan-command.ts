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

/** The coordinator is on a better line than its workers, but hardly on more than this. */
const WIDEST = 1e9;

/** @returns lines for the person */
export function runPlan({ codec, delay, parameters, rate, coordinatorRate, ...rest }: PlanFlags): string[] {
  return describePlan(
    {
      ...rest,
      rate,
      delayMs: delay,
      values: parameters,
      coordinatorRate: coordinatorRate ?? Math.max(rate, Math.min(WIDEST, 10 * rate)),
    },
    codec,
  );
}
