import { isLoopback } from '../../shared/util/loopback.ts';
import { flagName, type OptionName } from '../../shared/util/option-names.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Log } from '../report/log.ts';
import { Endpoint } from '../server/endpoint.ts';
import { startServer, type RunningServer, type ServerOptions } from '../server/http.ts';
import { BlockRateLimiter } from '../server/limits/block-rate-limiter.ts';
import {
  checkDescriptors,
  connectionLimitsFor,
  DEFAULT_WORKERS,
  readDescriptorLimit,
} from '../server/limits/connection-limits.ts';
import { RefusalRateLimiter } from '../server/limits/refusal-rate-limiter.ts';
import { reachableHosts } from '../server/reachable-hosts.ts';
import type { CodeBundle } from '../../shared/model/custom-code.ts';
import { runRoutes } from '../server/routes.ts';
import { openRun, type Run, type RunOptions } from './run.ts';

export interface HostOptions {
  /** Path below which the coordinator answers, with a slash at both ends. @default '/' */
  readonly path?: string | undefined;
  readonly token?: string | undefined;
  /** Address of the coordinator in a server that others own, for links. @default none */
  readonly url?: string | undefined;
  /** Origins of other sites whose pages may join. @default none */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Number of workers. @default DEFAULT_WORKERS, or as many as the process's descriptors allow */
  readonly maxWorkers?: number | undefined;
  /** Number of runs; workers that come after the last one end. @default 1 */
  readonly maxRuns?: number | undefined;
  /** Whether the program may be started again after an error: workers wait for it if the last run fails. @default false: they end */
  readonly mayRestart?: boolean | undefined;
  readonly pageDir: string;
  /** Names of options in reasons for the log. @default those of the command line */
  readonly optionName?: OptionName | undefined;
  readonly clock: Clock;
}

/** Address of a server that serves the coordinator alone. */
export interface ListenOptions extends Pick<ServerOptions, 'host' | 'port'> {
  readonly tls?: (NonNullable<ServerOptions['tls']> & { readonly fingerprint?: string }) | undefined;
}

/** Settings of a run that its host does not have. */
export type HostedRunOptions = Omit<
  RunOptions,
  'token' | 'maxWorkers' | 'maxObservers' | 'awaitsNextRun' | 'addresses' | 'clock'
>;

/** A run that a host serves. */
export interface HostedRun extends Run {
  /** Addresses with ws:// or wss://, the nearest first. */
  readonly urls: readonly string[];
  /**
   * Ends the run after an error. Workers stay if another run may follow on this host; else they end, or reconnect if the program
   * may be started again.
   * @param error why a round in progress ends. @default RunAborted
   */
  readonly fail: (error?: Error) => void;
}

/** Address for workers on this machine. */
interface LocalAddress {
  readonly url: string;
  /** Fingerprint of the certificate, which may be self-signed. */
  readonly fingerprint: string | undefined;
}

/** Rate of requests for /metrics, each of which takes about a millisecond. */
const METRICS_LIMITS = { perBlock: { burst: 60, perSecond: 5 }, total: { burst: 120, perSecond: 20 } };
const FAILED = 'The run has ended with an error.';
const LOOPBACK = '127.0.0.1';
const CLOSED = 'The coordinator was closed. Create another.';

/** Place where runs are served, one after the other: in servers that others own, and on ports of its own. */
export class CoordinatorHost {
  readonly endpoint: Endpoint;
  readonly #options: HostOptions;
  readonly #servers: { readonly where: ListenOptions; readonly server: RunningServer }[] = [];
  #localAddress: LocalAddress | null = null;
  #localServer: Promise<RunningServer> | null = null;
  #urls: readonly string[];
  /** Whether other machines reach a port of its own. */
  #hasOpenPort = false;
  #run: {
    readonly run: Run;
    readonly report: Log;
    readonly customCode: CodeBundle | undefined;
    readonly leave: () => void;
  } | null = null;
  #isClaimed = false;
  #isClosed = false;
  /** Number of runs so far. */
  #runs = 0;

  /** @throws Error with a sentence if the system allows too few open files for the number of workers */
  constructor(options: HostOptions) {
    const { clock, token, path = '/', url, maxWorkers } = options;
    if (maxWorkers !== undefined) checkDescriptors(maxWorkers, options.optionName);
    this.#options = options;
    this.#urls = url === undefined ? [] : [url];
    const refusals = new RefusalRateLimiter(clock);
    this.endpoint = new Endpoint({
      path,
      pageDir: options.pageDir,
      hasToken: token !== undefined,
      allowedOrigins: options.allowedOrigins,
      refusals,
      clock,
      maxWorkers,
      optionName: options.optionName,
      onRefused: (sentence) => this.#run?.run.clientLog.refused(sentence),
      routes: runRoutes({
        rules: { token },
        refusals,
        hostRule: (request) => this.endpoint.hostRule(request),
        budget: new BlockRateLimiter(clock, METRICS_LIMITS),
        acceptsWorkers: () => this.#run?.run.pool.end === null,
        workerCount: () => this.#run?.run.pool.workers.size ?? 0,
        metrics: () => this.#run?.run.metrics.text() ?? null,
        customCode: () => this.#run?.customCode ?? null,
      }),
    });
  }

  /** Addresses with ws:// or wss://, the nearest first; empty without a port of its own or an address that was given. */
  get urls(): readonly string[] {
    return this.#urls;
  }

  /** Secret that workers need to join. */
  get token(): string | undefined {
    return this.#options.token;
  }

  get workerCount(): number {
    return this.#run?.run.pool.workers.size ?? 0;
  }

  /**
   * Opens a port, unless it is open already: each run on the coordinator may name the same one.
   * @returns the port that is open
   * @throws Error with a sentence if it cannot be opened
   */
  async listen(where: ListenOptions): Promise<number> {
    const { host, port, tls } = where;
    const same = this.#servers.find(
      (open) => port !== 0 && open.where.host === host && open.server.port === port,
    );
    if (same !== undefined && same.where.tls?.cert === tls?.cert) return port;
    const server = await startServer(this.endpoint, {
      host,
      port,
      tls,
      onConnectionError: (sentence) => this.#run?.run.clientLog.connectionError(sentence),
    });
    this.#servers.push({ where, server });
    const scheme = tls === undefined ? 'ws' : 'wss';
    const path = this.endpoint.path === '/' ? '' : this.endpoint.path;
    const urls = reachableHosts(host).map((name) => `${scheme}://${name}:${server.port}${path}`);
    this.#urls = [...urls, ...this.#urls];
    this.#localAddress ??= { url: urls[0] ?? '', fingerprint: tls?.fingerprint };
    this.#hasOpenPort ||= !isLoopback(host);
    this.#warnIfOpen();
    return server.port;
  }

  /** Opens an address for workers on this machine: that of an own port, else of a port for them alone. */
  async openLocalAddress(): Promise<LocalAddress> {
    if (this.#localAddress !== null) return this.#localAddress;
    this.#localServer ??= startServer(this.endpoint, { host: LOOPBACK, port: 0 });
    const { port } = await this.#localServer;
    return { url: `ws://${LOOPBACK}:${port}${this.endpoint.path}`, fingerprint: undefined };
  }

  /** Closes the port for workers on this machine alone. */
  async closeLocalPort(): Promise<void> {
    const local = this.#localServer;
    this.#localServer = null;
    await (await local)?.close();
  }

  /**
   * Reserves the coordinator for a run that is being prepared.
   * @returns function that ends the reservation
   * @throws Error if another run has it, it has had all of its runs, or it was closed
   */
  claim(): () => void {
    if (this.#isClosed) throw new Error(CLOSED);
    const { maxRuns = 1 } = this.#options;
    if (this.#runs >= maxRuns)
      throw new Error(
        `The coordinator was made for ${maxRuns === 1 ? 'one run' : `${maxRuns} runs`}. Create another.`,
      );
    if (this.#isClaimed)
      throw new Error('The coordinator serves a run already. Start the next one when it is over.');
    this.#isClaimed = true;
    return () => {
      this.#isClaimed = false;
    };
  }

  /** Serves a run from now on, in place of an earlier one that is over. @throws Error if the coordinator was closed meanwhile */
  open(options: HostedRunOptions): HostedRun {
    if (this.#isClosed) throw new Error(CLOSED);
    void this.#run?.run.close('The next run begins.', true);
    this.#run?.leave();
    const { token, clock, maxRuns = 1, maxWorkers = DEFAULT_WORKERS, mayRestart = false } = this.#options;
    this.#runs++;
    const awaitsNextRun = this.#runs < maxRuns;
    const limits = connectionLimitsFor(readDescriptorLimit(), maxWorkers);
    const run = openRun({
      ...options,
      token,
      clock,
      maxWorkers: limits.workers,
      maxObservers: limits.observers,
      awaitsNextRun,
      addresses: () => this.#externalUrls(),
    });
    const { report, customCode } = options;
    const served = { run, report, customCode, leave: this.endpoint.serve(run) };
    this.#run = served;
    this.#warnIfOpen();
    const urls = (): readonly string[] => this.#urls;
    return {
      ...run,
      get urls() {
        return urls();
      },
      fail: (error) => run.finish(FAILED, error, mayRestart && !awaitsNextRun),
      close: async (...closed) => {
        served.leave();
        if (this.#run === served) this.#run = null;
        await run.close(...closed);
      },
    };
  }

  /** Addresses of the page for other machines. */
  #externalUrls(): readonly string[] {
    return this.#urls
      .filter((url) => !isLoopback(new URL(url).hostname))
      .map((url) => url.replace(/^ws/, 'http').replace(/\/?$/, '/'));
  }

  /**
   * Closes the run, every connection and every port of its own.
   * @param isForNextRun whether workers are to join the run that follows, which another process may serve
   */
  async close(reason: string, isForNextRun = false): Promise<void> {
    this.#isClosed = true;
    const run = this.#run?.run;
    this.#run?.leave();
    this.#run = null;
    const runClosed = run?.close(reason, isForNextRun);
    this.endpoint.close();
    await Promise.all(this.#servers.splice(0).map(({ server }) => server.close()));
    await this.closeLocalPort();
    await runClosed;
  }

  #warnIfOpen(): void {
    const { token, optionName = flagName } = this.#options;
    if (token !== undefined || !this.#hasOpenPort) return;
    this.#run?.report.warn(
      `Any client that reaches this port can join. Use ${optionName('token')} to admit only workers with a token.`,
    );
  }
}

export interface CoordinatorOptions extends HostOptions, HostedRunOptions, ListenOptions {}

/** A run on a port of its own. */
export interface Coordinator extends HostedRun {
  readonly port: number;
}

/**
 * Opens a port for one run.
 * @throws Error with a sentence if the port cannot be opened
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const host = new CoordinatorHost(options);
  const run = host.open(options);
  try {
    const port = await host.listen(options);
    return { ...run, urls: host.urls, port, close: (reason) => host.close(reason) };
  } catch (error) {
    await host.close('The coordinator could not start.');
    throw error;
  }
}
