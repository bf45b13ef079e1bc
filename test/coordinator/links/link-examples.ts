import { FLOAT32_LINK, type LinkCodecs } from '../../../coordinator/links/codecs.ts';
import { transferAndCodingMs, type WorkerCosts } from '../../../coordinator/links/cost-model.ts';
import type { LinkStats } from '../../../coordinator/links/meter.ts';

/** The default model's vectors, sent whole. */
export const PAYLOAD = { values: 600_810, kernel: null, bucketCount: 0 };
/** 100 Mb/s */
export const MS_PER_BYTE = 8e-5;

/** A link and its worker, as a simulation defines them. */
export interface LinkSituation {
  readonly megabits: number;
  readonly rttMs: number;
  readonly computeMs: number;
  /** Part of the transfers that the computation hides. */
  readonly hidden: number;
}

export const BASE_LINK: LinkSituation = { megabits: 100, rttMs: 4, computeMs: 32, hidden: 0 };

/** Measurements of a link that uses these codecs. */
export function measuredStats(
  { megabits, rttMs, computeMs, hidden }: LinkSituation,
  codecs: LinkCodecs,
): LinkStats {
  const msPerByte = 0.008 / megabits;
  const rates = { downMsPerByte: msPerByte, upMsPerByte: msPerByte };
  const turnaroundMs =
    computeMs + rttMs + (1 - hidden) * transferAndCodingMs({ ...rates, samples: 32 }, codecs, PAYLOAD);
  return { ...rates, rttMs, computeMs, turnaroundMs, samples: 32 };
}

/** A worker that takes 1 ms for each sample, on a link that takes no time. */
export const workerCosts = (changes: Partial<WorkerCosts> = {}): WorkerCosts => ({
  perSampleMs: 1,
  fixedMs: 0,
  rttMs: 0,
  downMsPerByte: 0,
  upMsPerByte: 0,
  gradientReadyAt: 1,
  acceptsBuckets: true,
  codecs: FLOAT32_LINK,
  ...changes,
});
