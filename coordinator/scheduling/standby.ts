import type { WorkerId } from '../../shared/protocol/messages.ts';
import { codecLabel } from '../links/codecs.ts';
import { describeLink } from '../links/describe-link.ts';
import type { WorkerLink } from '../links/worker-link.ts';

/** A gigabit per second, which never delays a step. */
const FAST_LINK_MS_PER_BYTE = 8e-6;

/**
 * Reason why a worker is on standby, for people.
 * @param stepMs forecast of a step without the worker
 * @param shareMs forecast of the time that the worker would take for an equal share
 */
export const explainStandby = (link: WorkerLink, stepMs: number, shareMs: number): string =>
  `Steps take ${formatMs(stepMs)} without this worker, which would need ${formatMs(shareMs)} for an equal share${describeSlowLink(link)}. It is measured again from time to time.`;

/** Phrase about a link that takes longer than its worker's computation; empty for a fast link. */
function describeSlowLink(link: WorkerLink): string {
  const { stats } = link.meter;
  if (stats === null || stats.turnaroundMs < 2 * stats.computeMs) return '';
  const { rttMs, downMsPerByte, upMsPerByte } = stats;
  // A worker that has just started or hangs has a long turnaround on any link.
  const isFast = Math.max(downMsPerByte, upMsPerByte) < FAST_LINK_MS_PER_BYTE;
  if (isFast && rttMs < (stats.turnaroundMs - stats.computeMs) / 4) return '';
  return ` (slow connection: ${describeLink(stats)}, codecs ${codecLabel(link)})`;
}

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

interface Probation {
  /** Number of steps until the next probe. */
  stepsToWait: number;
  /** Number of steps from one probe to the next. */
  intervalSteps: number;
  /** Number of shards left in the current probe. */
  shardsLeft: number;
}

const INITIAL_INTERVAL_STEPS = 50;
const MAX_INTERVAL_STEPS = 800;
/** Number of answers that a throughput estimate needs to follow a change. */
const SHARDS_PER_PROBE = 4;

/** Schedules the probes of workers on standby, at intervals that double after each probe. */
export class ProbationSchedule {
  readonly #probations = new Map<WorkerId, Probation>();

  /** Called once a step for each idle worker on standby. @returns whether the worker is measured in this step */
  isProbeDue(worker: WorkerId): boolean {
    const probation = this.#probations.get(worker) ?? {
      stepsToWait: INITIAL_INTERVAL_STEPS,
      intervalSteps: INITIAL_INTERVAL_STEPS,
      shardsLeft: SHARDS_PER_PROBE,
    };
    this.#probations.set(worker, probation);
    if (probation.stepsToWait > 0) {
      probation.stepsToWait--;
      return false;
    }
    if (--probation.shardsLeft === 0) {
      probation.intervalSteps = Math.min(MAX_INTERVAL_STEPS, 2 * probation.intervalSteps);
      probation.stepsToWait = probation.intervalSteps;
      probation.shardsLeft = SHARDS_PER_PROBE;
    }
    return true;
  }

  /** Discards the schedules of all other workers. */
  retain(workers: { has(worker: WorkerId): boolean }): void {
    for (const worker of this.#probations.keys()) if (!workers.has(worker)) this.#probations.delete(worker);
  }

  /** Discards the schedule of a worker that is active again. */
  remove(worker: WorkerId): void {
    this.#probations.delete(worker);
  }
}
