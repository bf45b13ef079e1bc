import { pause, type Clock, type AbortSignalLike } from '../../shared/util/clock.ts';
import type { EngineChoice, InstallNative } from '../../shared/engine/engine-choice.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { startCoordinator, type Coordinator } from '../coordinator.ts';
import type { CodecRule } from '../links/codecs.ts';
import { startLocalWorkers, type LocalWorkers } from '../pool/local-workers.ts';
import type { OpenCoordinatorEngine } from '../integrity/reference-engine.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Certificate } from '../server/tls.ts';
import type { WorkerPool } from '../pool/pool.ts';

/** The program that the coordinator runs in. */
export interface RunProgram {
  /** Runs gradcast itself: the program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** Folder of the built page. */
  readonly pageDir: string;
  /** Opens an engine in a thread of this process, for the coordinator's own computations. */
  readonly openCoordinatorEngine: OpenCoordinatorEngine;
}

export interface RunSessionOptions {
  readonly job: Job;
  readonly host: string;
  readonly port: number;
  readonly token?: string | undefined;
  /** See CoordinatorOptions. */
  readonly codecs?: CodecRule | undefined;
  /** See CoordinatorOptions. */
  readonly engineFingerprint?: string | null | undefined;
  /** See CoordinatorOptions. */
  readonly history?: readonly EpochRecord[] | undefined;
  readonly tls?: Certificate | undefined;
  readonly engine: EngineChoice;
  /** When local workers install native TensorFlow during the run. @default 'never' */
  readonly installNative?: InstallNative | undefined;
  /** Local ones; 0 leaves it to others to join. */
  readonly workers: number;
  /** Nothing is computed before so many are there. */
  readonly minWorkers?: number | undefined;
  /** See CoordinatorOptions. */
  readonly audit?: number | undefined;
  /** Whether no answer has to be recomputed, since only this machine's own workers can join. @default false */
  readonly trustsWorkers?: boolean;
  readonly program: RunProgram;
  readonly clock: Clock;
  readonly report: Reporter;
  /** Stops the run. */
  readonly interrupt: { readonly signal: AbortSignal };
  /** Called once the port is open, before anything is asked of anybody. */
  readonly onOpen: (coordinator: Coordinator) => void | Promise<void>;
}

/** Called when the work is done and all workers have been sent home, while the page is still served. */
export type AfterRun<Result> = (coordinator: Coordinator, result: Result) => Promise<void>;

const MAX_WORKERS = 1_000;
/** How long local workers may take to start before the work begins with those that are there. */
const LOCAL_WORKERS_TIMEOUT_MS = 60_000;
/** How long after a process has ended its connections may still seem to be open. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Opens a coordinator, starts local workers, waits until they are ready, does the work, and closes everything again,
 * whatever happens.
 * @param afterwards not called for work that was stopped
 * @throws Error if the local workers end and nobody else is there; TrainingDiverged if that is why they had to go
 */
export async function withCoordinator<Result>(
  options: RunSessionOptions,
  work: (coordinator: Coordinator) => Promise<Result>,
  afterwards?: AfterRun<Result>,
): Promise<Result> {
  const { job, workers, token, tls, engine, program, clock, report, interrupt } = options;
  const { signal } = interrupt;
  const coordinator = await startCoordinator({
    ...options,
    signal,
    maxWorkers: MAX_WORKERS,
    pageDir: program.pageDir,
    openCoordinatorEngine: options.trustsWorkers === true ? undefined : program.openCoordinatorEngine,
  });
  const { minWorkers } = options;
  const wanted = Math.max(1, workers, minWorkers ?? 0);
  const patienceMs = minWorkers === undefined ? LOCAL_WORKERS_TIMEOUT_MS : null;
  let local: LocalWorkers | null = null;
  let goodbye = 'The run has ended with an error.';
  const giveUp = new AbortController();
  const waiting = AbortSignal.any([signal, giveUp.signal]);
  try {
    await options.onOpen(coordinator);
    if (workers > 0) {
      local = startLocalWorkers({
        count: workers,
        command: program.command,
        url: coordinator.urls[0] ?? '',
        token,
        fingerprint: tls?.fingerprint,
        engine,
        installNative: options.installNative,
        // One process of two threads and two of one compute other bits.
        threads: job.microShard === undefined ? undefined : 1,
        onLine: (line) => report.info(line),
      });
    }
    const alone = local === null ? [] : [failWithoutWorkers(local, coordinator, options)];
    await Promise.race([...alone, waitForWorkers(coordinator.pool, wanted, patienceMs, clock, waiting)]);
    const result = await Promise.race([...alone, work(coordinator)]);
    goodbye = signal.aborted ? 'The run was stopped.' : 'The run is finished.';
    if (afterwards !== undefined && !signal.aborted) {
      coordinator.finish(goodbye);
      await local?.stop();
      await afterwards(coordinator, result);
    }
    return result;
  } finally {
    giveUp.abort();
    await coordinator.close(goodbye);
    await local?.stop();
  }
}

/** Rejects when the local workers have ended and nobody else can do the work. */
async function failWithoutWorkers(
  local: LocalWorkers,
  { pool, stepRunner }: Coordinator,
  { clock, report, interrupt }: Pick<RunSessionOptions, 'clock' | 'report' | 'interrupt'>,
): Promise<never> {
  const why = await local.exited;
  // That they have gone may be known before all of their connections are closed.
  if (pool.workers.size > 0) await pause(clock, CLOSE_GRACE_MS, interrupt.signal);
  if (pool.workers.size === 0) {
    throw stepRunner.divergence ?? new Error(`The workers on this machine have ended: ${why}`);
  }
  report.warn(`The workers on this machine have ended (${why}); others go on.`);
  return new Promise<never>(() => undefined);
}

/**
 * Waits until `count` workers are ready, so that a run starts with the shares that it will have; if some are still
 * missing after `patienceMs` (never, if null), any one is enough. Ends at once when the person wants to stop.
 */
export function waitForWorkers(
  pool: WorkerPool,
  count: number,
  patienceMs: number | null,
  clock: Clock,
  signal: AbortSignalLike,
): Promise<void> {
  return new Promise((resolve) => {
    let wanted = count;
    const check = (): void => {
      if (pool.workers.size < wanted && !signal.aborted) return;
      stopListening();
      cancel();
      signal.removeEventListener('abort', check);
      resolve();
    };
    const stopListening = pool.subscribe({
      joined: check,
    });
    const takeAnyone = (): void => {
      wanted = 1;
      check();
    };
    const cancel = patienceMs === null ? () => undefined : clock.after(patienceMs, takeAnyone);
    signal.addEventListener('abort', check);
    check();
  });
}
