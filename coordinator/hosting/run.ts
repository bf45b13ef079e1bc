import { layoutOf } from '../../shared/model/layout.ts';
import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { BottleneckReporter } from '../observe/bottleneck-reporter.ts';
import { Contributions } from '../observe/contributions.ts';
import { Feed } from '../observe/feed.ts';
import type { ShownRun } from '../observe/run-details.ts';
import { logClients, Notices, type ClientLog } from '../observe/notices.ts';
import { exactMode } from '../modes/exact-mode.ts';
import { EngineFingerprints } from '../modes/fingerprints.ts';
import { standardMode } from '../modes/standard-mode.ts';
import type { CodecRule } from '../links/codecs.ts';
import { WorkerPool, type PoolOptions } from '../pool/pool.ts';
import type { Reporter } from '../report/reporter.ts';
import { Metrics } from '../observe/metrics.ts';
import { AnswerValidator } from '../integrity/answer-validator.ts';
import { ReferenceEngine, type OpenCoordinatorEngine } from '../integrity/reference-engine.ts';
import { RunAborted } from '../training/errors.ts';
import { StepRunner } from '../training/step.ts';
import { bucketOffsets } from '../weights/bucket-offsets.ts';

import type { ConnectionHandler } from '../server/websocket.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
export interface RunOptions extends ShownRun {
  readonly job: Job;
  readonly token?: string | undefined;
  readonly maxWorkers: number;
  readonly maxObservers: number;
  /** Codecs for workers that support them. @default float32 in both directions */
  readonly codecs?: CodecRule | undefined;
  /** Whether vectors of a connection are split into buckets; see PoolOptions. */
  readonly usesBuckets?: PoolOptions['usesBuckets'];
  /** Whether the codecs of a connection may change during the run; see PoolOptions. */
  readonly switchesCodecs?: PoolOptions['switchesCodecs'];
  /** Fraction of the answers that are recomputed before they are used, in addition to the default checks. @default 0 */
  readonly audit?: number | undefined;
  /** Opens the engine that recomputes answers. @default no checks: every worker is trusted */
  readonly openCoordinatorEngine?: OpenCoordinatorEngine | undefined;
  /** Custom code of the job. @default none */
  readonly customCode?: CodeBundle | undefined;
  /** Finished epochs of a run that is resumed. */
  readonly history?: readonly EpochRecord[] | undefined;
  /** Engine fingerprint of an exact run that is resumed; see EngineFingerprints. */
  readonly engineFingerprint?: string | null | undefined;
  /** Whether another run may follow; see PoolOptions. */
  readonly awaitsNextRun: boolean;
  /** Addresses for other machines; see FeedOptions. */
  readonly addresses: () => readonly string[];
  readonly clock: Clock;
  readonly report: Reporter;
  readonly signal: AbortSignalLike;
}

/** A run's workers, with everything that runs training steps on them. It has no port and no thread of its own. */
export interface Run {
  readonly pool: WorkerPool;
  readonly stepRunner: StepRunner;
  /** Progress of the run, sent to observers. */
  readonly feed: Feed;
  readonly metrics: Metrics;
  /** Engine fingerprints of an exact run; null for other runs. */
  readonly engineFingerprints: EngineFingerprints | null;
  /** Samples of each worker so far. */
  readonly contributions: Contributions;
  /** Reports the bottleneck of training steps. */
  readonly bottleneckReporter: BottleneckReporter;
  readonly clientLog: ClientLog;
  /** Size of the largest frame that a worker may send. */
  readonly maxFrameBytes: number;
  /** Accepts a client; see AttachOptions. */
  readonly connect: (
    connection: Connection,
    onAccepted: (handler: ConnectionHandler) => void,
  ) => ConnectionHandler;
  /**
   * Ends the run for workers and observers. Observers are sent the last weights until close().
   * @param error why a round in progress ends. @default RunAborted: the coordinator was closed
   * @param isForNextRun whether workers are to join the run that follows. @default false
   */
  readonly finish: (reason: string, error?: Error, isForNextRun?: boolean) => void;
  /** Closes all connections. @param isForNextRun whether workers are to join the run that follows */
  close(reason: string, isForNextRun?: boolean): Promise<void>;
}

/** Size limit for the header of a frame, in addition to the gradient. */
const MAX_HEADER_BYTES = 64 << 10;

/** Puts the parts of a run together. Computes nothing before the first step or evaluation. */
export function openRun(options: RunOptions): Run {
  const { job, report, clock, signal, token, maxWorkers, codecs } = options;
  const layout = layoutOf(job.layout);
  const maxFrameBytes = layout.length * 4 + MAX_HEADER_BYTES;
  const mode =
    job.microShard === undefined
      ? standardMode(bucketOffsets(layout))
      : exactMode(job.microShard, new EngineFingerprints(options.engineFingerprint));
  const rules = { token, maxWorkers, codecs };
  const pool: WorkerPool = new WorkerPool({
    job,
    clock,
    maxFrameBytes,
    mode,
    fingerprints: mode.fingerprints,
    rules,
    customCode: options.customCode,
    ...(options.usesBuckets === undefined ? {} : { usesBuckets: options.usesBuckets }),
    ...(options.switchesCodecs === undefined ? {} : { switchesCodecs: options.switchesCodecs }),
    acceptObserver: (connection) => feed.watch(connection),
    awaitsNextRun: options.awaitsNextRun,
  });
  const bottleneckReporter = new BottleneckReporter({
    job,
    pool,
    clock,
    onAdvice: (sentence) => report.info(sentence, { event: 'advice' }),
  });
  const notices = new Notices(pool, clock);
  const contributions = new Contributions(pool);
  const feed: Feed = new Feed({
    job,
    clock,
    pool,
    epochs: options.history,
    weightNames: options.weightNames,
    shownData: options.shownData,
    advice: () => bottleneckReporter.advice,
    notices: () => notices.all,
    addresses: options.addresses,
    maxObservers: options.maxObservers,
  });
  const metrics = new Metrics({ pool, observerCount: () => feed.observerCount, clock });
  const { audit = 0, openCoordinatorEngine } = options;
  const validator =
    openCoordinatorEngine === undefined
      ? null
      : new AnswerValidator({
          pool,
          job,
          clock,
          report,
          referenceEngine: new ReferenceEngine(job, openCoordinatorEngine, options.customCode?.module),
          audit,
          random: Math.random,
        });
  const stepRunner = new StepRunner({
    validator,
    pool,
    job,
    clock,
    mode,
    signal,
    onWaiting(waiting) {
      if (!waiting) report.info('A worker has joined: the run resumes.', { event: 'resumed' });
      else if (!signal.aborted)
        report.warn('No worker is connected: the run waits until one joins.', { event: 'waiting' });
    },
  });
  const clientLog = logClients(pool, report, clock);
  const finish = (
    reason: string,
    error: Error = new RunAborted(`The run has ended before its last step: ${reason}`),
    isForNextRun = false,
  ): void => {
    clientLog.finish();
    // The last figures include the workers, so observers get them before the pool closes.
    feed.finish(reason);
    pool.finish(reason, error, isForNextRun);
  };
  return {
    pool,
    stepRunner,
    feed,
    metrics,
    contributions,
    engineFingerprints: mode.fingerprints,
    bottleneckReporter,
    clientLog,
    maxFrameBytes,
    connect: (...connected) => pool.connect(...connected),
    finish,
    async close(reason, isForNextRun) {
      finish(reason, undefined, isForNextRun);
      pool.close(reason, isForNextRun);
      feed.close(reason);
      clientLog.close();
      await validator?.close();
    },
  };
}
