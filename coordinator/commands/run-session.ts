import { pause, type Clock } from '../../shared/util/clock.ts';
import type { EngineChoice, InstallNative } from '../../shared/engine/engine-choice.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { startCoordinator, type Coordinator } from '../hosting/coordinator.ts';
import type { CodecRule } from '../links/codecs.ts';
import { startLocalWorkers, type LocalWorkers } from '../pool/local-workers.ts';
import { waitForWorkers } from '../pool/wait-for-workers.ts';
import type { OpenCoordinatorEngine } from '../integrity/reference-engine.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Certificate } from '../server/tls.ts';

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
  /** Number of local workers; 0 for none. */
  readonly workers: number;
  /** Number of workers that must be connected before anything is computed. @default as many as there are local workers */
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
  /** Called once the port is open, before any work is assigned. */
  readonly onOpen: (coordinator: Coordinator) => void | Promise<void>;
}

/** Called when the work is done and all workers are disconnected, while the page is still served. */
export type AfterRun<Result> = (coordinator: Coordinator, result: Result) => Promise<void>;

const MAX_WORKERS = 1_000;
/** Time that local workers may take to start; after it, the work begins with the workers that are connected. */
const LOCAL_WORKERS_TIMEOUT_MS = 60_000;
/** Time for which connections of an ended process may still seem to be open. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Opens a coordinator, starts local workers, waits until they are ready, does the work, and closes everything again, also after
 * an error.
 * @param afterwards not called for work that was stopped
 * @throws Error if the local workers end and no other worker is connected; TrainingDiverged if they were dropped for values that
 *   are not finite
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
  const timeoutMs = minWorkers === undefined ? LOCAL_WORKERS_TIMEOUT_MS : null;
  let local: LocalWorkers | null = null;
  let closeReason = 'The run has ended with an error.';
  const sessionEnd = new AbortController();
  const stopWaiting = AbortSignal.any([signal, sessionEnd.signal]);
  // A function, since TypeScript narrows a property that changes meanwhile.
  const isStopped = (): boolean => signal.aborted;
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
        // The number of threads changes the bits of a gradient.
        threads: job.microShard === undefined ? undefined : 1,
        onLine: (line) => report.info(line),
      });
    }
    const localFailure = local === null ? [] : [failWithoutWorkers(local, coordinator, options)];
    await Promise.race([
      ...localFailure,
      waitForWorkers(coordinator.pool, wanted, timeoutMs, clock, stopWaiting),
    ]);
    const result = await Promise.race([...localFailure, work(coordinator)]);
    closeReason = isStopped() ? 'The run was stopped.' : 'The run is finished.';
    if (afterwards !== undefined && !isStopped()) {
      coordinator.finish(closeReason);
      await local?.stop();
      if (!isStopped()) await afterwards(coordinator, result);
    }
    return result;
  } finally {
    sessionEnd.abort();
    await coordinator.close(closeReason);
    await local?.stop();
  }
}

/** Rejects when the local workers have ended and no other worker is connected. */
async function failWithoutWorkers(
  local: LocalWorkers,
  { pool, stepRunner }: Coordinator,
  { clock, report, interrupt }: Pick<RunSessionOptions, 'clock' | 'report' | 'interrupt'>,
): Promise<never> {
  const reason = await local.exited;
  // A process may end before its connections are closed.
  if (pool.workers.size > 0) await pause(clock, CLOSE_GRACE_MS, interrupt.signal);
  if (pool.workers.size === 0) {
    throw stepRunner.divergence ?? new Error(`The workers on this machine have ended: ${reason}`);
  }
  report.warn(`The workers on this machine have ended (${reason}); the other workers continue.`);
  return new Promise<never>(() => undefined);
}
