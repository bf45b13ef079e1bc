import { layoutOf } from '../shared/model/layout.ts';
import type { Clock, AbortSignalLike } from '../shared/util/clock.ts';
import type { Job } from '../shared/model/job.ts';
import type { EpochRecord } from '../shared/protocol/messages.ts';
import { BottleneckReporter } from './observe/bottleneck-reporter.ts';
import { Feed } from './observe/feed.ts';
import { logClients, Notices } from './observe/notices.ts';
import { RefusalRateLimiter } from './server/limits/refusal-rate-limiter.ts';
import { exactMode } from './modes/exact-mode.ts';
import { EngineFingerprints } from './modes/fingerprints.ts';
import { standardMode } from './modes/standard-mode.ts';
import type { CodecRule } from './links/codecs.ts';
import { WorkerPool, type PoolOptions } from './pool/pool.ts';
import type { Reporter } from './report/reporter.ts';
import { Metrics } from './observe/metrics.ts';
import { BlockRateLimiter } from './server/limits/block-rate-limiter.ts';
import { readDescriptorLimit, connectionLimitsFor } from './server/limits/connection-limits.ts';
import { isLoopback } from '../shared/util/loopback.ts';
import { reachableHosts } from './server/reachable-hosts.ts';
import { healthAndMetricsRoutes } from './server/routes.ts';
import { startServer, type ServerOptions } from './server/http.ts';
import { AnswerValidator } from './integrity/answer-validator.ts';
import { ReferenceEngine, type OpenCoordinatorEngine } from './integrity/reference-engine.ts';
import { StepRunner } from './training/step.ts';
import { bucketOffsets } from './weights/bucket-offsets.ts';

export interface CoordinatorOptions {
  readonly job: Job;
  readonly host: string;
  readonly port: number;
  readonly token?: string | undefined;
  readonly maxWorkers: number;
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
  /** Finished epochs of a run that is resumed. */
  readonly history?: readonly EpochRecord[] | undefined;
  /** Engine fingerprint of an exact run that is resumed; see EngineFingerprints. */
  readonly engineFingerprint?: string | null | undefined;
  readonly pageDir: string;
  /** Certificate for https and wss. @default http and ws */
  readonly tls?: ServerOptions['tls'];
  readonly clock: Clock;
  readonly report: Reporter;
  readonly signal: AbortSignalLike;
}

/** Server that workers join, with everything that runs training steps on them. */
export interface Coordinator {
  readonly pool: WorkerPool;
  readonly stepRunner: StepRunner;
  /** Progress of the run, sent to observers. */
  readonly feed: Feed;
  readonly metrics: Metrics;
  /** Engine fingerprints of an exact run; null for other runs. */
  readonly engineFingerprints: EngineFingerprints | null;
  /** Reports the bottleneck of training steps. */
  readonly bottleneckReporter: BottleneckReporter;
  readonly port: number;
  /** Addresses with ws:// or wss://, the nearest first. */
  readonly urls: readonly string[];
  /** Ends the run for workers and observers. The page and the last weights are served until close(). */
  finish(reason: string): void;
  /** Closes all connections and the port. */
  close(reason: string): Promise<void>;
}

/** Size limit for the header of a frame, in addition to the gradient. */
const MAX_HEADER_BYTES = 64 << 10;
/** Rate of requests for /metrics, each of which takes about a millisecond. */
const METRICS_LIMITS = { perBlock: { burst: 60, perSecond: 5 }, total: { burst: 120, perSecond: 20 } };

/** Opens the port and admits workers. Computes nothing before the first step or evaluation. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { job, host, report, clock, signal, token, codecs, pageDir } = options;
  const connectionLimits = connectionLimitsFor(readDescriptorLimit());
  const maxWorkers = Math.min(options.maxWorkers, connectionLimits.workers);
  const layout = layoutOf(job.layout);
  const maxFrameBytes = layout.length * 4 + MAX_HEADER_BYTES;
  const mode =
    job.microShard === undefined
      ? standardMode(bucketOffsets(layout))
      : exactMode(job.microShard, new EngineFingerprints(options.engineFingerprint));
  const rules = { token, maxWorkers, codecs };
  const refusals = new RefusalRateLimiter(clock);
  const pool: WorkerPool = new WorkerPool({
    job,
    clock,
    maxFrameBytes,
    mode,
    fingerprints: mode.fingerprints,
    rules,
    ...(options.usesBuckets === undefined ? {} : { usesBuckets: options.usesBuckets }),
    ...(options.switchesCodecs === undefined ? {} : { switchesCodecs: options.switchesCodecs }),
    acceptObserver: (connection) => feed.watch(connection),
  });
  const bottleneckReporter = new BottleneckReporter({
    job,
    pool,
    clock,
    onAdvice: (sentence) => report.info(sentence, { event: 'advice' }),
  });
  const notices = new Notices(pool);
  /** Addresses for other machines; empty until the port is open. */
  let externalUrls: readonly string[] = [];
  const feed: Feed = new Feed({
    job,
    clock,
    pool,
    epochs: options.history,
    advice: () => bottleneckReporter.advice,
    notices: () => notices.all,
    addresses: () => externalUrls,
    maxObservers: connectionLimits.observers,
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
          referenceEngine: new ReferenceEngine(job, openCoordinatorEngine),
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
    onWaiting: (waiting) =>
      waiting
        ? report.warn('No worker is connected: the run waits until one joins.', {
            event: 'waiting',
          })
        : report.info('A worker has joined: the run resumes.', { event: 'resumed' }),
  });
  const routes = healthAndMetricsRoutes({
    rules,
    refusals,
    hostRule: { host, allowsAnyHost: token !== undefined || options.tls !== undefined },
    budget: new BlockRateLimiter(clock, METRICS_LIMITS),
    workerCount: () => pool.workers.size,
    metrics: () => metrics.text(),
  });
  const clientLog = logClients(pool, report, clock);
  const server = await startServer({
    host,
    port: options.port,
    pageDir,
    maxFrameBytes,
    connect: (...connected) => pool.connect(...connected),
    routes,
    tls: options.tls,
    hasToken: token !== undefined,
    refusals,
    clock,
    maxConnections: connectionLimits.connections,
    onRefused: clientLog.refused,
    onConnectionError: clientLog.connectionError,
  }).catch(async (error: unknown) => {
    pool.close('The coordinator could not start.');
    feed.close('The coordinator could not start.');
    await validator?.close();
    throw error;
  });
  if (token === undefined && !isLoopback(host)) {
    report.warn(
      'Any client that reaches this port can join. Use --token to admit only workers with a token.',
    );
  }
  const scheme = options.tls === undefined ? 'ws' : 'wss';
  const hosts = reachableHosts(host);
  externalUrls = hosts
    .filter((name) => !isLoopback(name))
    .map((name) => `${scheme.replace('ws', 'http')}://${name}:${server.port}/`);
  const finish = (reason: string): void => {
    clientLog.finish();
    // The last figures include the workers, so observers get them before the pool closes.
    feed.finish(reason);
    pool.finish(reason);
  };
  return {
    pool,
    stepRunner,
    feed,
    metrics,
    engineFingerprints: mode.fingerprints,
    bottleneckReporter,
    port: server.port,
    urls: hosts.map((name) => `${scheme}://${name}:${server.port}`),
    finish,
    async close(reason) {
      finish(reason);
      pool.close(reason);
      feed.close(reason);
      clientLog.close();
      await server.close();
      await validator?.close();
    },
  };
}
