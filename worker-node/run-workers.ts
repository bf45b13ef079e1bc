import { availableParallelism } from 'node:os';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { formatCoordinatorLink, type CoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import { systemClock } from '../shared/util/clock.ts';
import { LEFT, RefusedError } from '../shared/worker/connection-loop.ts';
import { threadsPerWorker } from './engine/native/load-native.ts';
import type { Devices } from './engine/native/nvidia-gpus.ts';
import type { chooseWorkerCountHere } from './autotune/choose-worker-count.ts';
import type { WorkerGroup } from './processes/device-workers.ts';
import { MachineReport, type WriteLine } from './processes/machine-report.ts';
import { sendToParent, type WorkerProcessMessage } from './processes/messages.ts';
import { runProcesses, type ProcessGroupOptions, type WorkerSpec } from './processes/run-processes.ts';
import { runNodeWorker } from './run-node-worker.ts';
import type { StartThread } from './thread/start-thread.ts';
import { EngineLostError } from '../shared/engine/remote-engine/client.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

export interface RunWorkersOptions {
  /** ws:// or wss:// address of the coordinator. */
  readonly url: string;
  readonly token?: string | undefined;
  /** File with the address, which is read again after each connection. @default the address stays */
  readonly urlFile?: string | undefined;
  /** Addresses that are tried in turn if that one is lost. @default none */
  readonly alternatives?: readonly CoordinatorLink[] | undefined;
  /** See NodeWorkerOptions. */
  readonly fingerprint?: string | undefined;
  /** See NodeWorkerOptions. */
  readonly fingerprints?: readonly string[] | undefined;
  /** Hashes of custom code that the workers run. @default none */
  readonly trust?: readonly string[] | undefined;
  /** Name of this machine in the run. */
  readonly name: string;
  readonly workers: number | 'auto';
  /** Threads of each worker's engine. @default native: its share of the cores; WebAssembly: 1 */
  readonly threads?: number | undefined;
  /** GPUs, one worker each. */
  readonly devices?: Devices | undefined;
  readonly engine: EngineChoice;
  /** Whether this process is one of several workers that another process has started. */
  readonly isSibling: boolean;
  /** Name of this machine in the run, if that process has given `name` to this worker alone. */
  readonly machine?: string | undefined;
  /** Memory of each worker for samples. @default see NodeWorkerOptions */
  readonly sampleCacheBytes: number | undefined;
  readonly program: WorkerProgram;
  /** Further options of the `worker` command for the processes of several workers. */
  readonly childOptions: readonly string[];
  /** Aborted to leave the run. */
  readonly signal: AbortSignal;
  /** Whether SIGTERM has aborted the signal. */
  readonly isTerminated: () => boolean;
  /** Writes a line about normal progress. */
  readonly info: WriteLine;
  /** Writes a line about a problem. */
  readonly note: WriteLine;
}

export interface WorkerProgram {
  /** Program that runs gradcast. */
  readonly programFile: string;
  /** The same as a person types it. */
  readonly commandLine: string;
  /** Program of an engine's thread. */
  readonly threadFile: string;
  /** Starts the engine's thread of the only worker of this process. @default anew */
  readonly startThread?: StartThread | undefined;
}

/**
 * Runs one worker in this process, or several in processes of their own, until the run is over or the signal is aborted.
 * @returns the exit code of this process: 0 only if the run is over
 */
export async function runWorkers(given: RunWorkersOptions): Promise<number> {
  const { url, name, devices, isSibling, signal, info, note } = given;
  const clock = systemClock(globalThis);
  const place = given.urlFile ?? formatCoordinatorLink({ url });
  const report = new MachineReport({ name, url: place, info, note, clock });
  const { workers: specs, engine, threads } = await chooseWorkers(given);
  const options = { ...given, threads };
  if (signal.aborted) return ExitCode.interrupted;
  try {
    // Among many threads one is more likely to end: the process is then started again.
    const isSupervised = !isSibling && threads !== undefined && threads > 1;
    if (specs.length > 1 || devices !== undefined || isSupervised)
      return await runProcesses(createProcessGroup({ ...options, engine }, specs, report));
    if (threads !== undefined) process.env.TF_NUM_INTRAOP_THREADS = String(threads);
    return await runSingleWorker(options, report);
  } finally {
    report.close();
  }
}

async function runSingleWorker(options: RunWorkersOptions, report: MachineReport): Promise<number> {
  const { url, token, fingerprint, name, engine, isSibling, program, signal, note } = options;
  // Among several workers, the parent process reports for all of them.
  const hasParent = isSibling && process.connected;
  const send = async (message: WorkerProcessMessage): Promise<void> => {
    if (hasParent) await sendToParent(message);
    else report.record(name, message);
  };
  // A function, since TypeScript narrows a property that changes meanwhile.
  const isLeaving = (): boolean => signal.aborted;
  try {
    const reason = await runNodeWorker({
      url,
      token,
      urlFile: options.urlFile,
      alternatives: options.alternatives,
      fingerprint,
      fingerprints: options.fingerprints,
      trust: options.trust,
      name,
      machine: options.machine,
      engine,
      threads: options.threads,
      sampleCacheBytes: options.sampleCacheBytes,
      threadFile: program.threadFile,
      startThread: program.startThread,
      signal,
      note,
      onMessage: (message) => void send(message),
    });
    if (!hasParent || !isLeaving()) await send({ type: 'ended', reason });
    // A scheduler starts a worker again that ended before its run was finished; only the end of the run is a success.
    if (!isLeaving() || reason !== LEFT) return ExitCode.done;
    // The parent process asks its workers to leave by closing stdin; after SIGTERM to one of them the others keep working.
    return isSibling && options.isTerminated() ? ExitCode.workerTerminated : ExitCode.interrupted;
  } catch (error) {
    if (hasParent && error instanceof RefusedError) {
      await send({ type: 'refused', reason: error.message });
      return 1;
    }
    if (!isSibling || !(error instanceof EngineLostError)) throw error;
    note(`${name}: ${error.message}`);
    return ExitCode.engineDied;
  }
}

/** The workers of this machine: one for each GPU of `devices`, or as many as asked for. */
async function chooseWorkers(
  options: RunWorkersOptions,
): Promise<WorkerGroup & Pick<RunWorkersOptions, 'threads'>> {
  const { name, devices, engine, workers, threads, program, signal, info } = options;
  const command = [process.execPath, program.programFile] as const;
  if (devices !== undefined) {
    if (workers !== 'auto')
      throw new Error('--devices makes one worker for each GPU; omit --workers and GRADCAST_WORKERS.');
    const { chooseDeviceWorkers } = await import('./processes/device-workers.ts');
    return { ...(await chooseDeviceWorkers({ ...options, ...program, devices, command })), threads };
  }
  const chosen =
    workers === 'auto'
      ? await measureWorkers(command, { engine, threads, signal, note: info })
      : { workers, threads };
  const count = chosen.workers;
  if (count === 1) return { engine, threads: chosen.threads, workers: [{ name, env: {} }] };
  return {
    engine,
    threads: chosen.threads,
    workers: Array.from({ length: count }, (_, i) => ({ name: `${name}-${i + 1}`, env: {} })),
  };
}

/** Imported here, since the processes that compute measure nothing and start sooner without it. */
const measureWorkers: typeof chooseWorkerCountHere = async (...args) =>
  (await import('./autotune/choose-worker-count.ts')).chooseWorkerCountHere(...args);

/** Several workers, each in a process of its own, which share the cores. */
function createProcessGroup(
  options: RunWorkersOptions,
  workers: readonly WorkerSpec[],
  report: MachineReport,
): ProcessGroupOptions {
  const { url, name, engine, token, threads, fingerprint, program, childOptions, signal, note } = options;
  const { alternatives = [] } = options;
  const pin = fingerprint === undefined ? {} : { fingerprint };
  const links = [{ url, ...(token === undefined ? {} : { token }), ...pin }, ...alternatives];
  // A token on the command line could be read by every user of the machine.
  const ofEnv = alternatives.length > 0 ? { GRADCAST_URL: links.map(formatCoordinatorLink).join(' ') } : null;
  const ofArgs =
    options.urlFile === undefined
      ? [formatCoordinatorLink({ url, ...pin })]
      : ['--url-file', options.urlFile];
  const coordinator = ofEnv === null ? ofArgs : [];
  const args = ['--workers', '1', '--engine', engine, ...childOptions];
  if (threads !== undefined) args.push('--threads', String(threads));
  if (options.fingerprints !== undefined) args.push('--fingerprint', options.fingerprints.join(','));
  if (options.trust !== undefined) args.push('--trust', options.trust.join(','));
  const fairShare = String(threadsPerWorker(availableParallelism(), workers.length));
  return {
    workers,
    command: [process.execPath, program.programFile, 'worker', ...coordinator, ...args],
    env: {
      TF_NUM_INTRAOP_THREADS: fairShare,
      ...process.env,
      ...(threads === undefined ? {} : { TF_NUM_INTRAOP_THREADS: String(threads) }),
      GRADCAST_SIBLING: '1',
      GRADCAST_MACHINE_NAME: name,
      ...(token === undefined ? {} : { GRADCAST_TOKEN: token }),
      ...ofEnv,
    },
    signal,
    note,
    report,
  };
}
