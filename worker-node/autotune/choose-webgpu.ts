import { availableParallelism } from 'node:os';
import { errorMessage } from '../../shared/util/error-message.ts';
import {
  benchmarkInChild,
  isFaster,
  workersOf,
  type BenchmarkTarget,
  type EngineBenchmark,
} from '../engine/benchmark/benchmark-child.ts';
import { nativeCandidates } from '../engine/locate/candidates.ts';
import type { CachedChoice } from '../util/saved-choices.ts';
import { readGpusInChild } from '../engine/benchmark/gpus-in-child.ts';
import { gpuKey, loadGpuChoice, saveGpuChoice } from '../engine/webgpu/saved-choice.ts';
import { gpuOfEnv } from '../engine/webgpu/open-webgpu.ts';
import { findWebGpuPackage } from '../engine/webgpu/webgpu-package.ts';

export interface GpuChoiceOptions {
  /** Runs gradcast, which measures engines in child processes. */
  readonly command: readonly [string, ...string[]];
  /** Receives lines about the measurement and its result. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

const BATCH_SIZE = 128;

/**
 * Whether a worker on the GPU by WebGPU is right and faster than this machine's other engines together. It is measured once for each
 * set of GPUs, cores and versions; without the package of WebGPU the answer is no.
 * @param key everything that the measurement depends on; null if there is nothing to measure
 */
export async function chooseWebGpu(
  { command, note, signal }: GpuChoiceOptions,
  key?: string | null,
): Promise<boolean> {
  if (key === undefined) {
    key = await keyOfThisMachine(command, signal);
    if (signal.aborted) return false;
  }
  if (key === null) return false;
  const saved = loadGpuChoice(key);
  if (saved !== null) {
    note(`${saved.line} (measured before)`);
    return saved.workers > 0;
  }
  note('Measuring the GPU against the processor (some seconds, once) ...');
  const measure = async (target: BenchmarkTarget): Promise<EngineBenchmark> => {
    const result = await benchmarkInChild(command, target, BATCH_SIZE, signal);
    if (!result.ok) throw new Error(result.reason);
    return result.benchmark;
  };
  let choice: CachedChoice;
  try {
    const gpu = await measure({ engine: 'webgpu' });
    choice = compareGpu(gpu, await measureOther(measure), availableParallelism());
  } catch (error) {
    if (signal.aborted) return false;
    choice = refuseGpu(errorMessage(error));
  }
  saveGpuChoice(key, choice);
  note(choice.line);
  if (choice.workers === 0) return false;
  // The worker's process reads the choice from the file.
  if (loadGpuChoice(key) !== null) return true;
  note('The measurement cannot be saved, and WebGPU is not used without it: --engine webgpu uses it.');
  return false;
}

/**
 * Key of this machine, whose GPUs a child process lists; null if there is nothing to measure, or the signal is aborted.
 * @throws Error with a sentence if the environment has an unknown power preference
 */
async function keyOfThisMachine(
  command: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<string | null> {
  if (findWebGpuPackage() === null) return null;
  // A wrong variable is an error, and no reason to take another engine.
  gpuOfEnv(process.env);
  return gpuKey(await readGpusInChild(command, signal).catch(() => []));
}

/** Measures the engine that workers use without WebGPU: the first native one that works, else WebAssembly. */
async function measureOther(
  measure: (target: BenchmarkTarget) => Promise<EngineBenchmark>,
): Promise<EngineBenchmark> {
  for (const { package: name, folder, missing } of nativeCandidates()) {
    if (missing !== null) continue;
    const native = await measure({ engine: 'native', package: name, folder }).catch(() => null);
    if (native !== null) return native;
  }
  return measure({ engine: 'wasm' });
}

/**
 * Saves the result of measurements that were made otherwise, in place of an earlier one.
 * @param gpu measurement of WebGPU, or the reason why it does not work
 */
export async function saveMeasurement(
  gpu: EngineBenchmark | string,
  other: EngineBenchmark,
  { command, signal }: Pick<GpuChoiceOptions, 'command' | 'signal'>,
  key?: string | null,
): Promise<void> {
  if (key === undefined)
    key =
      typeof gpu === 'string' || gpu.gpus.length === 0
        ? await keyOfThisMachine(command, signal)
        : gpuKey(gpu.gpus);
  if (key === null) return;
  saveGpuChoice(
    key,
    typeof gpu === 'string' ? refuseGpu(gpu) : compareGpu(gpu, other, availableParallelism()),
  );
}

const refuseGpu = (reason: string): CachedChoice => ({
  workers: 0,
  line: `Using no WebGPU: ${reason}; to measure again: gradcast engine`,
});

/** Decides between WebGPU and the best of the other engines. @returns 1 worker if WebGPU is faster, else 0 */
export function compareGpu(gpu: EngineBenchmark, other: EngineBenchmark, cores: number): CachedChoice {
  const isPreferred = isFaster(gpu, other, cores);
  const speeds = `${describe(gpu, 1)}; ${describe(other, workersOf(other, cores))}`;
  return {
    workers: isPreferred ? 1 : 0,
    line: `Using ${isPreferred ? 'WebGPU' : 'no WebGPU'}, by measurement: ${speeds}`,
  };
}

function describe({ backend, device, msPerSample }: EngineBenchmark, workers: number): string {
  const each = workers === 1 ? '' : `, ${workers} workers`;
  return `${backend} on ${device}${each} ${(msPerSample / workers).toFixed(3)} ms a sample`;
}
