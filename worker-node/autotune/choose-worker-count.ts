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

/** Workers of this machine. */
export interface WorkerCount {
  readonly workers: number;
  /** Threads of each worker's engine. @default chosen by the workers */
  readonly threads?: number | undefined;
}

/** Samples of a step, divided among the processes. */
const BATCH_SIZE = 128;
const TIMEOUT_MS = 40_000;
/** Memory of a process with TensorFlow. */
const PROCESS_BYTES = 500 * 2 ** 20;
/** Memory of a process with WebAssembly; a thread has half of it. */
const WASM_PROCESS_BYTES = 150 * 2 ** 20;

export interface MachineProfile {
  readonly choice: EngineChoice;
  /** Threads of each process, if the user has set them. */
  readonly threads?: number | undefined;
  /** Receives lines about the measurement and its result. */
  readonly note: (line: string) => void;
  readonly signal?: AbortSignal;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Whether WebAssembly is not worth a measurement: the work takes seconds. @default false */
  readonly isBrief?: boolean | undefined;
  /** Whether other processes compute at the moment: measurements are not saved then. */
  readonly isBusy: boolean;
  /** Identifies the native engine that would be used; null without one. */
  readonly engineKey: string | null;
  readonly cacheFile: string;
  readonly compare: (
    one: Config,
    other: Config,
    signal: AbortSignal,
    engine: 'native' | 'wasm',
  ) => Promise<Comparison>;
}

/** Reads the properties of this machine. */
function readMachineProfile(): Omit<MachineProfile, 'choice' | 'note' | 'compare'> {
  const own = Number(process.env.TF_NUM_INTRAOP_THREADS);
  return {
    threads: Number.isInteger(own) && own > 0 ? own : undefined,
    cores: availableParallelism(),
    // A container may have less memory than is free.
    memoryBytes: Math.min(process.availableMemory(), freemem()),
    isBusy: (loadavg()[0] ?? 0) > availableParallelism(),
    engineKey: nativeEngineKey(),
    cacheFile: join(dirname(engineCacheDir()), 'shapes.json'),
  };
}

export interface WorkerCountOptions extends Pick<MachineProfile, 'note' | 'signal' | 'isBrief'> {
  readonly engine: EngineChoice;
  /** Threads of each worker. @default chosen with the number of workers */
  readonly threads?: number | undefined;
  /** Whether the run is exact: `auto` then takes no engine by measurement. @default false */
  readonly isExact?: boolean | undefined;
}

/**
 * Chooses the fastest number of worker processes of this machine and of their threads, which it may measure for some seconds. The result means nothing
 * once the signal is aborted.
 * @param command runs gradcast
 * @example
 * const workers = await chooseWorkerCountHere([process.execPath, 'bin/gradcast.js'], { engine: 'auto', note: console.log });
 */
export async function chooseWorkerCountHere(
  command: readonly [string, ...string[]],
  { engine, threads, isExact = false, isBrief, note, signal }: WorkerCountOptions,
): Promise<WorkerCount> {
  const never = new AbortController().signal;
  if (engine === 'webgpu') return { workers: 1 };
  // A worker with the engine `auto` then takes WebGPU too.
  if (engine === 'auto' && !isExact && (await chooseWebGpu({ command, note, signal: signal ?? never })))
    return { workers: 1 };
  const machine = readMachineProfile();
  return chooseWorkerCount({
    ...machine,
    threads: threads ?? machine.threads,
    choice: engine,
    isBrief,
    compare: (one, other, limit, kind) => compareConfigs(one, other, command, limit, kind),
    note,
    ...(signal === undefined ? {} : { signal }),
  });
}

/**
 * Chooses the fastest number of worker processes: one process of n threads and n processes of one are measured, and the result is
 * saved. A machine that is busy with other work is not measured for WebAssembly: a process for each core is close to the best.
 */
export async function chooseWorkerCount(options: MachineProfile): Promise<WorkerCount> {
  const { choice, threads, note, cores, memoryBytes, engineKey, cacheFile, compare } = options;
  if (choice === 'native' && engineKey === null) return { workers: cores, threads };
  const engine = choice === 'wasm' || engineKey === null ? 'wasm' : 'native';
  if (cores === 1) return { workers: 1, ...(threads === undefined ? {} : { threads }) };
  if (threads !== undefined) return { workers: Math.max(1, Math.floor(cores / threads)), threads };
  const processes = engine === 'wasm' ? cores : Math.min(cores, Math.floor(memoryBytes / PROCESS_BYTES));
  if (processes < 2) return { workers: 1 };
  const countOf = (workers: number): WorkerCount =>
    // A native process has all cores without being told.
    engine === 'wasm' && workers === 1 ? { workers, threads: cores } : { workers };

  const key = `${engine === 'wasm' ? wasmKey() : String(engineKey)}, ${cores} cores`;
  const cached = loadChoice(cacheFile, key);
  if (cached !== null && cached.workers > 0) {
    note(`${cached.line} (measured before)`);
    return countOf(cached.workers);
  }
  const oneProcess = { processes: 1, threads: cores, batch: BATCH_SIZE };
  // Both configs are open at the same time.
  if (engine === 'wasm' && memoryBytes < 2 * cores * WASM_PROCESS_BYTES) {
    note(`Using ${describeConfig(oneProcess)}, which needs the least memory.`);
    return countOf(1);
  }
  if (engine === 'wasm' && (options.isBusy || options.isBrief === true)) return countOf(processes);
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
    const result = await compare(oneProcess, manyProcesses, signal, engine);
    const workers = !result.gpu && result.stepMs[1] < result.stepMs[0] ? processes : 1;
    const line = result.gpu
      ? 'Using one worker process: a GPU needs only one.'
      : workers === 1
        ? describeChoice(oneProcess, manyProcesses, ...result.stepMs)
        : describeChoice(manyProcesses, oneProcess, result.stepMs[1], result.stepMs[0]);
    if (!options.isBusy) saveChoice(cacheFile, key, { workers, line });
    note(line);
    return countOf(workers);
  } catch (error) {
    if (options.signal?.aborted === true) return countOf(processes);
    const why = errorMessage(error);
    note(`The measurement failed (${why}). Using ${describeConfig(manyProcesses)}.`);
    return countOf(processes);
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

/** Key of the WebAssembly engine: kernels differ between versions of Node. */
const wasmKey = (): string => `wasm, Node ${process.versions.node}, ${cpus()[0]?.model.trim() ?? 'CPU'}`;

/** Key of the native engine, its build and the processor: a change of any is measured anew. */
function nativeEngineKey(): string | null {
  const best = nativeCandidates().find(({ missing }) => missing === null);
  if (best === undefined) return null;
  const addon = findAddon(best.package, best.folder);
  const built = addon === null ? '' : String(Math.round(statSync(addon).mtimeMs));
  return [best.package, best.folder ?? 'installed', built, cpus()[0]?.model.trim() ?? 'CPU'].join(', ');
}
