import { layoutOf } from '../shared/model/layout.ts';
import type { Clock, AbortSignalLike } from '../shared/util/clock.ts';
import type { Job } from '../shared/model/job.ts';
import type { EpochRecord } from '../shared/protocol/messages.ts';
import type { Connection } from '../shared/protocol/transport.ts';
import { BottleneckReporter } from './observe/bottleneck-reporter.ts';
import { Feed } from './observe/feed.ts';
import { Notices } from './observe/notices.ts';
import { RefusalRateLimiter } from './server/limits/refusal-rate-limiter.ts';
import type { ConnectionHandler } from './server/websocket.ts';
import { exactMode } from './modes/exact-mode.ts';
import { EngineFingerprints } from './modes/fingerprints.ts';
import { standardMode } from './modes/standard-mode.ts';
import { codecLabel, type CodecRule } from './links/codecs.ts';
import { WorkerPool, type PoolOptions } from './pool/pool.ts';
import { throttleLog } from './report/throttle.ts';
import { pluralize, type Reporter } from './report/reporter.ts';
import { Metrics } from './observe/metrics.ts';
import { BlockRateLimiter } from './server/limits/block-rate-limiter.ts';
import { readDescriptorLimit, connectionLimitsFor } from './server/limits/connection-limits.ts';
import { TokenBucket } from './server/limits/token-bucket.ts';
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
  /** How gradients and weights travel to and from workers that know these codecs; float32 without it. */
  readonly codecs?: CodecRule | undefined;
  /** Whom weights and gradients are sent to in pieces; see PoolOptions. */
  readonly usesBuckets?: PoolOptions['usesBuckets'];
  /** Whose codecs are chosen, where that is the rule; see PoolOptions. */
  readonly switchesCodecs?: PoolOptions['switchesCodecs'];
  /** The part of the shards that are recomputed here before they count, besides those that are by default. */
  readonly audit?: number | undefined;
  /** Opens what answers are recomputed with; every worker is trusted without. */
  readonly openCoordinatorEngine?: OpenCoordinatorEngine | undefined;
  /** Epochs that were done before, of a run that is gone on with. */
  readonly history?: readonly EpochRecord[] | undefined;
  /** What engines of an exact run that is gone on with must answer; see KnownAnswers. */
  readonly engineFingerprint?: string | null | undefined;
  readonly pageDir: string;
  /** What https and wss are served with; without it, http and ws. */
  readonly tls?: ServerOptions['tls'];
  readonly clock: Clock;
  readonly report: Reporter;
  readonly signal: AbortSignalLike;
}

/** A server that workers can join, and the rounds that they compute. */
export interface Coordinator {
  readonly pool: WorkerPool;
  readonly stepRunner: StepRunner;
  /** Tells observers how the run goes. */
  readonly feed: Feed;
  readonly metrics: Metrics;
  /** Of an exact run; null otherwise. */
  readonly engineFingerprints: EngineFingerprints | null;
  /** Says what limits the steps of a run that it hears of. */
  readonly bottleneckReporter: BottleneckReporter;
  readonly port: number;
  /** ws:// or wss:// addresses, the nearest first. */
  readonly urls: readonly string[];
  /** The work is over: workers and observers are told so. The page and the last weights are served until close(). */
  finish(reason: string): void;
  /** Says goodbye to all workers. */
  close(reason: string): Promise<void>;
}

/** Room for a frame's header beside the gradient. */
const MAX_HEADER_BYTES = 64 << 10;
/** Lines of workers that come and go: of as many as there are places, and one a second. */
const JOIN_LOG_LIMIT = { burst: 2_000, perSecond: 1 };
/** Requests for /metrics, each of which takes about a millisecond. */
const METRICS_LIMITS = { perBlock: { burst: 60, perSecond: 5 }, total: { burst: 120, perSecond: 20 } };

/** Opens the port and lets workers in; nothing is computed until a round is asked for. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { job, host, report, clock, signal, token, codecs, pageDir } = options;
  const places = connectionLimitsFor(readDescriptorLimit());
  const maxWorkers = Math.min(options.maxWorkers, places.workers);
  const layout = layoutOf(job.layout);
  const maxFrameBytes = layout.length * 4 + MAX_HEADER_BYTES;
  const mode =
    job.microShard === undefined
      ? standardMode(bucketOffsets(layout))
      : exactMode(job.microShard, new EngineFingerprints(options.engineFingerprint));
  const rules = { token, maxWorkers, codecs };
  const allowances = new RefusalRateLimiter(clock);
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
  /** Known when the port is open. */
  let outside: readonly string[] = [];
  const feed: Feed = new Feed({
    job,
    clock,
    pool,
    epochs: options.history,
    advice: () => bottleneckReporter.advice,
    notices: () => notices.all,
    addresses: () => outside,
    maxObservers: places.observers,
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
        ? report.warn('No worker is connected: the run waits, and goes on when one joins.', {
            event: 'waiting',
          })
        : report.info('A worker is back: the run goes on.', { event: 'goingOn' }),
  });
  const connect = (connection: Connection): ConnectionHandler => pool.connect(connection);
  const routes = healthAndMetricsRoutes({
    rules,
    allowances,
    hostRule: { host, allowsAnyHost: token !== undefined || options.tls !== undefined },
    budget: new BlockRateLimiter(clock, METRICS_LIMITS),
    workerCount: () => pool.workers.size,
    metrics: () => metrics.text(),
  });
  const refusals = throttleLog(
    (line) => report.warn(line, { event: 'refused' }),
    (count) => `... and ${count} more were not let in.`,
    clock,
  );
  const troubles = throttleLog(
    (line) => report.warn(line, { event: 'connectionTrouble' }),
    (count) => `... and ${count} more of that kind.`,
    clock,
  );
  // A client that comes and goes all the time must not fill a log with it.
  const listed = new TokenBucket(JOIN_LOG_LIMIT, clock.now());
  const unlisted = throttleLog(
    () => report.info('Workers come and go too often to list them all.', { event: 'manyComings' }),
    () => '',
    clock,
  );
  const list = (...entry: Parameters<Reporter['info']>): void => {
    if (listed.spend(clock.now())) report.info(...entry);
    else unlisted.write(entry[0]);
  };
  const server = await startServer({
    host,
    port: options.port,
    pageDir,
    maxFrameBytes,
    connect,
    routes,
    tls: options.tls,
    hasToken: token !== undefined,
    allowances,
    clock,
    maxConnections: places.connections,
    onRefused: (sentence) => refusals.write(sentence),
    onConnectionError: (sentence) => troubles.write(sentence),
  }).catch(async (error: unknown) => {
    pool.close('The coordinator could not start.');
    feed.close('The coordinator could not start.');
    await validator?.close();
    throw error;
  });
  let isEnding = false;
  pool.subscribe({
    joined: ({ name, engine, link: workerLink }) => {
      const threads = pluralize(engine.threads, 'thread');
      const codecs = codecLabel(workerLink);
      const link = codecs === codecLabel({ codec: 'float32', updateCodec: null }) ? '' : `, ${codecs}`;
      list(`+ ${name} joined: ${engine.backend} on ${engine.device}, ${threads}${link}`, {
        event: 'joined',
        worker: name,
        codecs,
        ...engine,
      });
    },
    left({ name }, reason) {
      // That all leave at the end of a run is no news.
      if (!isEnding) list(`- ${name} left: ${reason}`, { event: 'left', worker: name, reason });
    },
    refused: (reason) => refusals.write(`A worker was not let in: ${reason}`),
    codecChanged: ({ name, link }, reason) =>
      report.info(`${name}: ${reason}`, { event: 'recoded', worker: name, codecs: codecLabel(link) }),
    standbyChanged: ({ name }, reason) =>
      report.info(reason === null ? `${name} is active again.` : `${name} is on standby: ${reason}`, {
        event: reason === null ? 'unreserved' : 'reserved',
        worker: name,
      }),
  });
  if (token === undefined && !isLoopback(host)) {
    report.warn('Whoever reaches this port may join. Use --token to choose who may.');
  }
  const scheme = options.tls === undefined ? 'ws' : 'wss';
  const hosts = reachableHosts(host);
  outside = hosts
    .filter((name) => !isLoopback(name))
    .map((name) => `${scheme.replace('ws', 'http')}://${name}:${server.port}/`);
  const finish = (reason: string): void => {
    isEnding = true;
    // Last figures first: they have the workers that are about to go.
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
      refusals.close();
      troubles.close();
      unlisted.close();
      await server.close();
      await validator?.close();
    },
  };
}
