import { availableParallelism } from 'node:os';
import { systemClock } from '../shared/util/clock.ts';
import {
  formatCoordinatorLink,
  invalidLinkMessage,
  parseCoordinatorLink,
} from '../shared/protocol/coordinator-link.ts';
import type { LogFormat } from '../coordinator/report/log.ts';
import { resolveDevices, visibleDeviceEnv, type Devices } from '../worker-node/engine/native/nvidia-gpus.ts';
import { nativeCandidates } from '../worker-node/engine/locate/candidates.ts';
import type { EngineChoice, InstallNative } from '../shared/engine/engine-choice.ts';
import { requireNativeEngine, type EngineContext } from './run-engine.ts';
import { engineCacheDir } from '../worker-node/engine/locate/cache.ts';
import { threadsPerWorker } from '../worker-node/engine/native/load-native.ts';
import { installInBackground } from '../worker-node/engine/upgrade/background-install.ts';
import {
  isWorthInstalling,
  canInstall,
  detectProcessor,
} from '../worker-node/engine/upgrade/install-decision.ts';
import { runWithEngineUpgrade } from '../worker-node/engine/upgrade/run-with-upgrade.ts';
import { MachineReport } from '../worker-node/processes/machine-report.ts';
import {
  EXIT_TERMINATED,
  EXIT_ENGINE_DIED,
  runProcesses,
  type ProcessGroupOptions,
  type WorkerSpec,
} from '../worker-node/processes/run-processes.ts';
import { RefusedError } from '../shared/worker/connection-loop.ts';
import { sendToParent, type WorkerProcessMessage } from '../worker-node/processes/messages.ts';
import { readMachineProfile, chooseWorkerCount } from '../worker-node/autotune/choose-worker-count.ts';
import { EngineLostError } from '../shared/engine/remote-engine/client.ts';
import { runNodeWorker } from '../worker-node/run-node-worker.ts';
import { Socket } from 'node:net';

const EXIT_INTERRUPTED = 130;

export interface WorkerFlags {
  readonly token?: string;
  readonly fingerprint?: string;
  readonly name: string;
  readonly workers: number | 'auto';
  /** Of each worker's native engine. */
  readonly threads?: number;
  readonly devices?: Devices;
  readonly engine: EngineChoice;
  readonly installNative: InstallNative;
  readonly quiet?: boolean;
  readonly log: LogFormat;
}

interface WorkerContext extends EngineContext {
  /** The program of the engine's thread. */
  readonly threadFile: string;
}

/**
 * One worker in this process, or several in processes of their own, until the run is over.
 * @param link to the coordinator; a token in it is used rather than the option's
 * @returns the exit code
 */
export async function runWorkerCommand(
  link: string,
  given: WorkerFlags,
  program: WorkerContext,
): Promise<number> {
  const parsed = parseCoordinatorLink(link);
  if (parsed === null) throw new Error(invalidLinkMessage(link));
  const { url } = parsed;
  const flags = parsed.token === undefined ? given : { ...given, token: parsed.token };
  const leaving = shutdownSignal();
  const { note, info } = await createWorkerLog(flags);
  const sibling = process.env.GRADCAST_SIBLING !== undefined;
  const { name } = flags;
  const report = new MachineReport({
    name,
    url: formatCoordinatorLink({ url }),
    info,
    note,
    clock: systemClock(globalThis),
  });
  // The parent process of a worker has seen to the engine; and an installation brings none for GPUs.
  if (flags.engine === 'native' && process.env.GRADCAST_LEASH === undefined && flags.devices === undefined) {
    await requireNativeEngine(program, leaving);
    if (leaving.aborted) return EXIT_INTERRUPTED;
  }
  const workers = await resolveWorkers(flags, program, leaving, info);
  if (leaving.aborted) return EXIT_INTERRUPTED;
  const installs =
    !sibling &&
    flags.devices === undefined &&
    (await canInstall(flags, { cacheDir: engineCacheDir(), nowMs: Date.now() }));
  if (workers !== null || installs) {
    const specs = workers ?? [{ name: flags.name, env: {} }];
    const processes = processGroupOptions(url, flags, specs, { program, signal: leaving, note, report });
    const code = await (installs ? runWithUpgrade(processes, flags, program) : runProcesses(processes));
    report.close();
    return code;
  }
  if (flags.threads !== undefined) process.env.TF_NUM_INTRAOP_THREADS = String(flags.threads);
  // The process that started several workers speaks for all of them.
  const isHeard = sibling && process.connected;
  const tell = async (message: WorkerProcessMessage): Promise<void> => {
    if (isHeard) await sendToParent(message);
    else report.record(name, message);
  };
  // Read anew: it changes while the worker works.
  const isLeaving = (): boolean => leaving.aborted;
  try {
    const { token, engine, fingerprint } = flags;
    const { threadFile } = program;
    const options = { url, token, fingerprint, name, engine, threadFile, signal: leaving, note };
    const reason = await runNodeWorker({ ...options, onMessage: (message) => void tell(message) });
    if (!isHeard || !isLeaving()) await tell({ type: 'ended', reason });
    // The others go on. Whoever holds the leash has asked all of them by letting go of it.
    return sibling && leaving.reason === TERMINATED ? EXIT_TERMINATED : 0;
  } catch (error) {
    if (isHeard && error instanceof RefusedError) {
      await tell({ type: 'refused', reason: error.message });
      return 1;
    }
    if (!sibling || !(error instanceof EngineLostError)) throw error;
    note(`${name}: ${error.message}`);
    return EXIT_ENGINE_DIED;
  } finally {
    report.close();
  }
}

/** @returns null for a single one, in this process */
async function resolveWorkers(
  flags: WorkerFlags,
  { programFile, commandLine }: WorkerContext,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<readonly WorkerSpec[] | null> {
  const { name, engine: choice, devices } = flags;
  if (devices !== undefined) {
    if (flags.workers !== 'auto')
      throw new Error('--devices makes one worker for each GPU; leave --workers away.');
    requireGpuEngine(choice, commandLine);
    return resolveDevices(devices).map((number) => ({
      name: `${name}-gpu${number}`,
      env: visibleDeviceEnv(number),
    }));
  }
  let count = flags.workers;
  if (count === 'auto') {
    const machine = readMachineProfile([process.execPath, programFile]);
    count = await chooseWorkerCount({
      ...machine,
      threads: flags.threads ?? machine.threads,
      choice,
      signal,
      note,
    });
  }
  if (count === 1) return null;
  return Array.from({ length: count }, (_, i) => ({ name: `${name}-${i + 1}`, env: {} }));
}

/** WebAssembly workers, and as many native ones in their place once the engine is installed. */
function runWithUpgrade(
  processes: ProcessGroupOptions,
  { name, installNative }: WorkerFlags,
  { programFile }: WorkerContext,
): Promise<number> {
  const processor = detectProcessor();
  return runWithEngineUpgrade({
    ...processes,
    nativeWorkers: processes.workers.map(({ env }, i) => ({ name: `${name}-native-${i + 1}`, env })),
    shouldInstall: (remainingMs) =>
      installNative === 'always' || (remainingMs !== null && isWorthInstalling(processor, remainingMs)),
    install: (signal) => installInBackground([process.execPath, programFile], signal),
    clock: systemClock(globalThis),
  });
}

/** Several workers, each in a process of its own, which share the cores. */
function processGroupOptions(
  url: string,
  flags: WorkerFlags,
  workers: readonly WorkerSpec[],
  {
    program,
    signal,
    note,
    report,
  }: Pick<ProcessGroupOptions, 'signal' | 'note' | 'report'> & { program: WorkerContext },
): ProcessGroupOptions {
  const { engine, token, threads, fingerprint } = flags;
  const options = ['--workers', '1', '--engine', engine, '--log', flags.log];
  if (fingerprint !== undefined) options.push('--fingerprint', fingerprint);
  if (flags.quiet === true) options.push('--quiet');
  const fairShare = String(threadsPerWorker(availableParallelism(), workers.length));
  return {
    workers,
    command: [process.execPath, program.programFile, 'worker', url, ...options],
    env: {
      TF_NUM_INTRAOP_THREADS: fairShare,
      ...process.env,
      ...(threads === undefined ? {} : { TF_NUM_INTRAOP_THREADS: String(threads) }),
      GRADCAST_SIBLING: '1',
      ...(token === undefined ? {} : { GRADCAST_TOKEN: token }),
    },
    signal,
    note,
    ...(report === undefined ? {} : { report }),
  };
}

/** @throws Error if no engine here would use a GPU */
function requireGpuEngine(choice: EngineChoice, typed: string): void {
  if (choice === 'wasm') throw new Error('WebAssembly computes on the CPU: --devices needs --engine native.');
  if (nativeCandidates().some(({ variant, missing }) => variant === 'gpu' && missing === null)) return;
  throw new Error(`No native TensorFlow for GPUs here. This gets it: ${typed} engine install --gpu`);
}

export interface WorkerLogFlags {
  readonly quiet?: boolean;
  readonly log: LogFormat;
}

/** How a worker says what goes as it should, and what the person should know. */
export async function createWorkerLog({
  quiet,
  log,
}: WorkerLogFlags): Promise<Record<'info' | 'note', (line: string) => void>> {
  const write = (text: string): void => void process.stderr.write(text);
  const text = (line: string): void => write(`${line}\n`);
  const json = log === 'json' ? (await import('../coordinator/report/log.ts')).jsonLog(write) : null;
  const info = json === null ? text : (line: string): void => json.info(line);
  return {
    info: quiet === true ? () => undefined : info,
    note: json === null ? text : (line) => json.warn(line),
  };
}

/** The reason of a signal that SIGTERM has aborted. */
export const TERMINATED = 'SIGTERM';

/** Aborted by Ctrl-C, by SIGTERM, by the end of the terminal, and when whoever holds the leash is gone. A second Ctrl-C ends at once. */
export function shutdownSignal(): AbortSignal {
  const leaving = new AbortController();
  if (process.env.GRADCAST_LEASH === 'stdin') {
    // These reach the whole terminal; whoever holds the leash needs this worker to finish the step.
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
    process.stdin.resume().once('close', () => leaving.abort());
    // The leash alone must not keep a worker alive that has nothing left to do.
    if (process.stdin instanceof Socket) process.stdin.unref();
  } else {
    process.on('SIGINT', () => {
      if (leaving.signal.aborted) process.exit(130);
      leaving.abort();
    });
    process.on('SIGHUP', () => leaving.abort());
  }
  process.on('SIGTERM', () => leaving.abort(TERMINATED));
  return leaving.signal;
}
