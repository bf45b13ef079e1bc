import { pause, type Clock } from '../../shared/util/clock.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import type { OptionName } from '../../shared/util/option-names.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { CoordinatorHost, type HostedRun } from '../hosting/coordinator.ts';
import type { CodecRule } from '../links/codecs.ts';
import { startInProcessWorker } from '../pool/in-process-worker.ts';
import { startLocalWorkers, type LocalWorkers } from '../pool/local-workers.ts';
import { waitForWorkers } from '../pool/wait-for-workers.ts';
import type { OpenCoordinatorEngine } from '../integrity/reference-engine.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Certificate } from '../server/tls.ts';
import type { ShownRun } from '../observe/run-details.ts';
import { Interrupted, RunAborted } from '../training/errors.ts';

/** The program that the coordinator runs in. */
export interface RunProgram {
  /** Runs gradcast itself: the program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** Folder of the built page. */
  readonly pageDir: string;
  /** Opens an engine in a thread of this process, for the coordinator's own computations. */
  readonly openCoordinatorEngine: OpenCoordinatorEngine;
}

export interface RunSessionOptions extends ShownRun {
  readonly job: Job;
  /** Custom code of the job. @default none */
  readonly customCode?: CodeBundle | undefined;
  /** Coordinator that exists already, which goes on after the run. @default one of the run's own */
  readonly coordinator?: CoordinatorHost | undefined;
  readonly host: string;
  /** Port to open; null for none. */
  readonly port: number | null;
  readonly token?: string | undefined;
  /** See CoordinatorOptions. */
  readonly codecs?: CodecRule | undefined;
  /** See CoordinatorOptions. */
  readonly engineFingerprint?: string | null | undefined;
  /** See CoordinatorOptions. */
  readonly history?: readonly EpochRecord[] | undefined;
  readonly tls?: Certificate | undefined;
  readonly engine: EngineChoice;
  /** Engine that computes in this process, beside the local workers. @default none */
  readonly ownEngine?: Engine | undefined;
  /** Number of local workers; 0 for none. */
  readonly workers: number;
  /** Threads of each local worker's engine. @default chosen by the workers; 1 in an exact run */
  readonly threads?: number | undefined;
  /** Number of workers that must be connected before anything is computed. @default as many as there are local workers */
  readonly minWorkers?: number | undefined;
  /** See CoordinatorOptions. */
  readonly maxWorkers?: number | undefined;
  /** See CoordinatorOptions. */
  readonly audit?: number | undefined;
  /** Whether no answer has to be recomputed, since only this machine's own workers can join. @default false */
  readonly trustsWorkers?: boolean | undefined;
  readonly program: RunProgram;
  readonly clock: Clock;
  readonly report: Reporter;
  /** Stops the run. */
  readonly interrupt: { readonly signal: AbortSignal };
  /** See TrainOptions. @default never */
  readonly isTerminated?: (() => boolean) | undefined;
  /** Called once the port is open, before any work is assigned. */
  readonly onOpen: (run: HostedRun) => void | Promise<void>;
  /** Whether no step is left, so that no worker is waited for before the work. Called after onOpen. @default steps are left */
  readonly isOver?: (() => boolean) | undefined;
  /** Names of options in lines for the log. @default those of the command line */
  readonly optionName?: OptionName | undefined;
}

/** Time that local workers may take to start; after it, the work begins with the workers that are connected. */
const LOCAL_WORKERS_TIMEOUT_MS = 60_000;
/**
 * Time that the step in progress has once the run is terminated. Schedulers kill a process 30 seconds after SIGTERM, and checkpoint,
 * model and the end of the workers take some of them.
 */
const TERMINATED_STEP_MS = 5_000;
const MAY_COME_BACK = 'The coordinator was stopped and may be started again.';
/** Time for which connections of an ended process may still seem to be open. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Opens a coordinator, starts local workers, waits until they are ready, does the work, and closes everything again, also after
 * an error. A coordinator that existed before still serves the page of the run, and its workers wait for the next one.
 * @param work has ended when this rejects: its next round fails if the run cannot go on
 * @throws Error if the local workers end and no other worker is connected; TrainingDiverged if they were dropped for values that
 *   are not finite
 */
export async function withCoordinator<Result>(
  options: RunSessionOptions,
  work: (run: HostedRun) => Promise<Result>,
): Promise<Result> {
  const { job, workers, token, tls, program, clock, report, interrupt, minWorkers, ownEngine } = options;
  const { signal } = interrupt;
  const isTerminated = (): boolean => signal.aborted && options.isTerminated?.() === true;
  const coordinator =
    options.coordinator ??
    new CoordinatorHost({
      token,
      clock,
      maxWorkers: options.maxWorkers,
      pageDir: program.pageDir,
      optionName: options.optionName,
      mayRestart: true,
    });
  const run = coordinator.open({
    ...options,
    signal,
    openCoordinatorEngine: options.trustsWorkers === true ? undefined : program.openCoordinatorEngine,
  });
  const wanted = Math.max(1, workers + (ownEngine === undefined ? 0 : 1), minWorkers ?? 0);
  const timeoutMs = minWorkers === undefined ? LOCAL_WORKERS_TIMEOUT_MS : null;
  const local: LocalWorkers[] = [];
  /** Null after an error. */
  let closeReason: string | null = null;
  let isClosing = false;
  let cancelDeadline = (): void => undefined;
  const onStop = (): void => {
    if (!isTerminated()) return;
    const error = new Interrupted('Terminated before the step was finished.');
    cancelDeadline = clock.after(TERMINATED_STEP_MS, () => run.finish(MAY_COME_BACK, error, true));
  };
  signal.addEventListener('abort', onStop);
  try {
    if (options.port !== null) await coordinator.listen({ host: options.host, port: options.port, tls });
    await options.onOpen(run);
    if (workers > 0) {
      local.push(
        startLocalWorkers({
          count: workers,
          command: program.command,
          ...(await coordinator.openLocalAddress()),
          token: coordinator.token,
          engine: options.engine,
          // It is the code of the person who starts them.
          trust: job.customCode?.hash,
          // The number of native TensorFlow's threads changes the bits of a gradient.
          threads: options.threads ?? (job.microShard === undefined ? undefined : 1),
          onLine(line) {
            if (!isClosing) report.info(line);
          },
        }),
      );
    }
    if (ownEngine !== undefined) {
      local.push(
        startInProcessWorker({
          engine: ownEngine,
          trust: job.customCode?.hash,
          connect: run.connect,
          token: coordinator.token,
          clock,
          note: (line) => report.info(line),
        }),
      );
    }
    if (local.length > 0) void abortWithoutWorkers(local, run, options);
    // Local workers are there all the same: the model may still have to be measured.
    if (options.isOver?.() !== true) {
      const onJoined = (here: number): void => {
        if (minWorkers !== undefined) report.info(`${here} of ${wanted} workers have joined.`);
      };
      await waitForWorkers(run.pool, wanted, timeoutMs, clock, signal, onJoined);
    }
    const result = await work(run);
    closeReason = isTerminated()
      ? MAY_COME_BACK
      : signal.aborted
        ? 'The run was stopped.'
        : 'The run is finished.';
    return result;
  } finally {
    isClosing = true;
    signal.removeEventListener('abort', onStop);
    cancelDeadline();
    if (closeReason === null) run.fail();
    else run.finish(closeReason, undefined, closeReason === MAY_COME_BACK);
    if (options.coordinator === undefined) await coordinator.close('The run is over.');
    await Promise.all(local.map((each) => each.stop()));
    await coordinator.closeLocalPort();
  }
}

/** Ends the run with an error when the local workers have ended and no other worker is connected. */
async function abortWithoutWorkers(
  local: readonly LocalWorkers[],
  { pool, stepRunner, fail }: HostedRun,
  { clock, report, interrupt }: Pick<RunSessionOptions, 'clock' | 'report' | 'interrupt'>,
): Promise<void> {
  const reasons = await Promise.all(local.map(({ exited }) => exited));
  const reason = reasons.join('; ');
  // A process may end before its connections are closed.
  if (pool.workers.size > 0) await pause(clock, CLOSE_GRACE_MS, interrupt.signal);
  if (pool.end !== null) return;
  if (pool.workers.size > 0)
    report.warn(`The workers on this machine have ended (${reason}); the other workers continue.`);
  else fail(stepRunner.divergence ?? new RunAborted(`The workers on this machine have ended: ${reason}`));
}
