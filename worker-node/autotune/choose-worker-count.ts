import { statSync } from 'node:fs';
import { availableParallelism, cpus, freemem, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { errorMessage } from '../../shared/util/error-message.ts';
import { findAddon, nativeCandidates } from '../engine/locate/candidates.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { engineCacheDir } from '../engine/locate/cache.ts';
import { threadsPerWorker } from '../engine/native/load-native.ts';
import { chooseWebGpu } from './choose-webgpu.ts';
import { compareConfigs, type Comparison, type Config } from './compare-configs.ts';
import { loadChoice, saveChoice } from '../util/saved-choices.ts';

/** Samples of a step, divided among the processes. */
const BATCH_SIZE = 128;
const TIMEOUT_MS = 40_000;
/** Memory of a process with TensorFlow. */
const PROCESS_BYTES = 500 * 2 ** 20;

export interface MachineProfile {
  readonly choice: EngineChoice;
  /** Threads of each process, if the user has set them. */
  readonly threads?: number | undefined;
  /** Receives lines about the measurement and its result. */
  readonly note: (line: string) => void;
  readonly signal?: AbortSignal;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Whether other processes compute at the moment: measurements are not saved then. */
  readonly isBusy: boolean;
  /** Identifies the native engine that would be used; null without one. */
  readonly engineKey: string | null;
  readonly cacheFile: string;
  readonly compare: (one: Config, other: Config, signal: AbortSignal) => Promise<Comparison>;
}

/**
 * Reads the properties of this machine.
 * @param command runs gradcast
 */
function readMachineProfile(
  command: readonly [string, ...string[]],
): Omit<MachineProfile, 'choice' | 'note'> {
  const own = Number(process.env.TF_NUM_INTRAOP_THREADS);
  return {
    threads: Number.isInteger(own) && own > 0 ? own : undefined,
    cores: availableParallelism(),
    // A container may have less memory than is free.
    memoryBytes: Math.min(process.availableMemory(), freemem()),
    isBusy: (loadavg()[0] ?? 0) > availableParallelism(),
    engineKey: nativeEngineKey(),
    cacheFile: join(dirname(engineCacheDir()), 'shapes.json'),
    compare: (one, other, signal) => compareConfigs(one, other, command, signal),
  };
}

export interface WorkerCountOptions extends Pick<MachineProfile, 'note' | 'signal'> {
  readonly engine: EngineChoice;
  /** Threads of each worker. @default chosen with the number of workers */
  readonly threads?: number | undefined;
  /** Whether the run is exact: `auto` then takes no engine by measurement. @default false */
  readonly isExact?: boolean | undefined;
}

/**
 * Chooses the fastest number of worker processes of this machine, which it may measure for some seconds. The result means nothing
 * once the signal is aborted.
 * @param command runs gradcast
 * @example
 * const workers = await chooseWorkerCountHere([process.execPath, 'bin/gradcast.js'], { engine: 'auto', note: console.log });
 */
export async function chooseWorkerCountHere(
  command: readonly [string, ...string[]],
  { engine, threads, isExact = false, note, signal }: WorkerCountOptions,
): Promise<number> {
  const never = new AbortController().signal;
  if (engine === 'webgpu') return 1;
  // A worker with the engine `auto` then takes WebGPU too.
  if (engine === 'auto' && !isExact && (await chooseWebGpu({ command, note, signal: signal ?? never })))
    return 1;
  const machine = readMachineProfile(command);
  return chooseWorkerCount({
    ...machine,
    threads: threads ?? machine.threads,
    choice: engine,
    note,
    ...(signal === undefined ? {} : { signal }),
  });
}

/**
 * Chooses the fastest number of worker processes. WebAssembly has one thread, so each core has a process. The native engine
 * is measured with one process of n threads and with n processes of one, and the result is saved.
 */
export async function chooseWorkerCount(options: MachineProfile): Promise<number> {
  const { choice, threads, note, cores, memoryBytes, engineKey, cacheFile, compare } = options;
  if (choice === 'wasm' || engineKey === null || cores === 1) return cores;
  if (threads !== undefined) return Math.max(1, Math.floor(cores / threads));
  const processes = Math.min(cores, Math.floor(memoryBytes / PROCESS_BYTES));
  if (processes < 2) return 1;

  const key = `${engineKey}, ${cores} cores`;
  const cached = loadChoice(cacheFile, key);
  if (cached !== null && cached.workers > 0) {
    note(`${cached.line} (measured before)`);
    return cached.workers;
  }
  const oneProcess = { processes: 1, threads: cores, batch: BATCH_SIZE };
  const manyProcesses = {
    processes,
    threads: threadsPerWorker(cores, processes),
    batch: Math.max(1, Math.round(BATCH_SIZE / processes)),
  };
  const remark = options.isBusy ? 'not saved: other processes are computing' : 'once';
  note(
    `Measuring ${describeConfig(oneProcess)} against ${describeConfig(manyProcesses)} (some seconds; ${remark}) ...`,
  );
  try {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    const result = await compare(oneProcess, manyProcesses, signal);
    const workers = !result.gpu && result.stepMs[1] < result.stepMs[0] ? processes : 1;
    const line = result.gpu
      ? 'Using one worker process: a GPU needs only one.'
      : workers === 1
        ? describeChoice(oneProcess, manyProcesses, ...result.stepMs)
        : describeChoice(manyProcesses, oneProcess, result.stepMs[1], result.stepMs[0]);
    if (!options.isBusy) saveChoice(cacheFile, key, { workers, line });
    note(line);
    return workers;
  } catch (error) {
    if (options.signal?.aborted === true) return processes;
    const why = errorMessage(error);
    note(`The measurement failed (${why}). Using ${describeConfig(manyProcesses)}.`);
    return processes;
  }
}

function describeChoice(taken: Config, other: Config, takenMs: number, otherMs: number): string {
  return (
    `Using ${describeConfig(taken)}, the fastest here: ${takenMs.toFixed(1)} ms for ${BATCH_SIZE} samples; ` +
    `${describeConfig(other)}: ${otherMs.toFixed(1)} ms`
  );
}

const describeConfig = ({ processes, threads }: Config): string =>
  `${processes} worker process${processes === 1 ? '' : 'es'} with ${threads} thread${threads === 1 ? '' : 's'}`;

/** Key of the native engine, its build and the processor: a change of any is measured anew. */
function nativeEngineKey(): string | null {
  const best = nativeCandidates().find(({ missing }) => missing === null);
  if (best === undefined) return null;
  const addon = findAddon(best.package, best.folder);
  const built = addon === null ? '' : String(Math.round(statSync(addon).mtimeMs));
  return [best.package, best.folder ?? 'installed', built, cpus()[0]?.model.trim() ?? 'CPU'].join(', ');
}
