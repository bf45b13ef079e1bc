import { hostname } from 'node:os';
import { systemClock } from '../shared/util/clock.ts';
import { isLoopback } from '../shared/util/loopback.ts';
import { trustedCode } from '../shared/worker/custom-code-access.ts';
import { formatCoordinatorLink, type CoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import { locateInTurn, runWorker } from '../shared/worker/connection-loop.ts';
import type { WorkerOptions, WorkerReport } from '../shared/worker/options.ts';
import { createGarbageCollector } from './util/collect-garbage.ts';
import { adviseOnPath, connectPinned } from './connect-websocket.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { Engine } from '../shared/engine/engine.ts';
import { locateByUrlFile } from './url-file.ts';
import { totalSteps, type WorkerProcessMessage } from './processes/messages.ts';
import { EngineLostError } from '../shared/engine/remote-engine/client.ts';
import { openEngineThreads } from './thread/engine-threads.ts';
import type { StartThread } from './thread/start-thread.ts';
import type { ThreadedEngine, ThreadEngine } from './thread/threaded-engine.ts';

export interface NodeWorkerOptions {
  readonly url: string;
  readonly token?: string | undefined;
  /** File with the address, which is read again after each connection. @default the address stays */
  readonly urlFile?: string | undefined;
  /** Addresses that are tried in turn if that one is lost. @default none */
  readonly alternatives?: readonly CoordinatorLink[] | undefined;
  /** SHA-256 of the one certificate to trust at that address. @default any of `fingerprints` */
  readonly fingerprint?: string | undefined;
  /** SHA-256 of the only trusted certificates, at all addresses. @default those of the links, else those that this machine trusts */
  readonly fingerprints?: readonly string[] | undefined;
  /** Hashes of custom code that it runs. @default none */
  readonly trust?: readonly string[] | undefined;
  readonly name?: string | undefined;
  /** Name of this machine in the run. @default the worker's name */
  readonly machine?: string | undefined;
  /** Engine to open in a thread, or one that computes in this thread. */
  readonly engine: EngineChoice | Engine;
  /** Threads of a WebAssembly engine that is opened here. @default 1 */
  readonly threads?: number | undefined;
  /** Memory for samples, so that they travel once. @default 512 MiB; 0 for a coordinator on this machine */
  readonly sampleCacheBytes?: number | undefined;
  /** Built program of the engine's thread. */
  readonly threadFile: string;
  /** Starts that thread. @default anew */
  readonly startThread?: StartThread | undefined;
  readonly signal: AbortSignal;
  /** Receives the events of the worker. */
  readonly onMessage: (message: WorkerProcessMessage) => void;
  /** Prints a line about this worker alone. */
  readonly note: (line: string) => void;
}

/** Samples from this machine come as fast as from a memory of their own. */
const defaultSampleCache = (url: string): number => (isLoopback(new URL(url).hostname) ? 0 : 2 ** 29);

/** Losses of a GPU after which it is opened again. Another loss may be due to an operation that it cannot compute. */
const MAX_REOPENED_LOSSES = 1;

/** The run is exact, and the engine was chosen by measurement. */
class MeasuredEngineError extends Error {}

/**
 * Runs one worker in this process until the run is over or `signal` is aborted. If its GPU is lost, it joins again with the same
 * engine, and after another loss with the best one that uses no WebGPU. An exact run, whose bits must not depend on a measurement,
 * is computed with that one too if the choice is `auto`.
 * @returns the reason why it ended
 * @throws EngineLostError if the thread of another engine ends before
 */
export async function runNodeWorker(options: NodeWorkerOptions): Promise<string> {
  const name = options.name ?? hostname();
  let losses = 0;
  let choice: ThreadEngine | Engine = options.engine;
  for (;;) {
    let usesWebGpu = choice === 'webgpu';
    try {
      return await runWithEngine(options, choice, ({ info }) => {
        usesWebGpu = info.backend === 'webgpu';
      });
    } catch (error) {
      if (error instanceof MeasuredEngineError) {
        choice = 'no-webgpu';
        continue;
      }
      if (!(error instanceof EngineLostError) || !usesWebGpu || choice === 'no-webgpu') throw error;
      if (++losses > MAX_REOPENED_LOSSES) choice = 'no-webgpu';
      const next = choice === 'no-webgpu' ? 'Another engine is used.' : 'It is opened again.';
      options.note(`${name}: ${error.message}. ${next}`);
    }
  }
}

/** @param onEngine receives the opened engine */
async function runWithEngine(
  options: NodeWorkerOptions,
  choice: ThreadEngine | Engine,
  onEngine: (engine: Engine) => void,
): Promise<string> {
  const { url, token, fingerprint, signal, onMessage, note } = options;
  const name = options.name ?? hostname();
  const threaded =
    typeof choice === 'object'
      ? unthreaded(choice)
      : await openEngineThreads({
          file: options.threadFile,
          start: options.startThread,
          choice,
          threads: options.threads,
          note: (line) => note(`${name}: ${line}`),
          // Neither process.exit() nor the end of the program ends a process with such a thread.
          onStuck: () => void process.kill(process.pid, 'SIGKILL'),
        });
  const { engine, why, lost } = threaded;
  onEngine(engine);
  const { backend, device, threads } = engine.info;
  const text = `${backend} on ${device}, ${threads} thread${threads === 1 ? '' : 's'} (${why})`;
  const collectGarbage = createGarbageCollector();
  const unfit = new AbortController();
  const load: Engine['load'] = (job, module) => {
    if (choice !== 'auto' || backend !== 'webgpu' || job.microShard === undefined)
      return engine.load(job, module);
    unfit.abort();
    return Promise.reject(new MeasuredEngineError());
  };
  const report: WorkerReport = {
    joined: ({ job }, joinedUrl) => {
      const { batchSize, data } = job;
      const page = formatCoordinatorLink({ url: joinedUrl });
      onMessage({ type: 'joined', totalSteps: totalSteps(job), data: data.name, batchSize, url: page });
    },
    // The gradient is sent and the next weights have not arrived: garbage collection delays nothing now.
    computed: (task, step, samples) => {
      if (task === 'train') onMessage({ type: 'computed', step, samples });
      threaded.collectGarbage();
      collectGarbage();
    },
    waiting(_line, { reason, waitMs, url }) {
      const page = formatCoordinatorLink({ url });
      const advice = adviseOnPath(page, reason);
      onMessage({
        type: 'waiting',
        reason,
        waitMs,
        url: page,
        ...(advice === null ? {} : { advice }),
      });
    },
    standby: ({ onStandby, reason }) => onMessage({ type: 'standby', onStandby, reason }),
    note: (line) => note(`${name}: ${line}`),
  };
  try {
    onMessage({ type: 'engine', text });
    const end = await runWorker({
      url,
      name,
      machine: options.machine ?? name,
      ...(token === undefined ? {} : { token }),
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...locateOption(options),
      engine: { info: engine.info, load },
      connect: connectPinned(options.fingerprints),
      sampleStore: { maxBytes: options.sampleCacheBytes ?? defaultSampleCache(url) },
      customCode: trustedCode(options.trust ?? [], url),
      clock: systemClock(globalThis),
      random: Math.random,
      report,
      signal: AbortSignal.any([signal, lost, unfit.signal]),
      abandonsEngine: true,
    });
    if (lost.aborted) throw lost.reason as EngineLostError;
    if (unfit.signal.aborted && !signal.aborted) throw new MeasuredEngineError();
    return end;
  } catch (error) {
    // If the engine was lost, the other error is a consequence.
    throw lost.aborted ? lost.reason : error;
  } finally {
    await threaded.close();
  }
}

/** How a worker finds another address than its first, if it can. */
function locateOption({
  url,
  token,
  fingerprint,
  urlFile,
  alternatives = [],
}: NodeWorkerOptions): Pick<WorkerOptions, 'locate'> {
  if (urlFile !== undefined) return { locate: locateByUrlFile(urlFile, token) };
  if (alternatives.length === 0) return {};
  const first = {
    url,
    ...(token === undefined ? {} : { token }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
  };
  return { locate: locateInTurn([first, ...alternatives]) };
}

/** Engine of a program's own, which computes in this thread. */
const unthreaded = (engine: Engine): ThreadedEngine => ({
  engine,
  why: "the program's own",
  lost: new AbortController().signal,
  collectGarbage: () => undefined,
  close: () => Promise.resolve(),
});
