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
import { gpuKey, loadGpuChoice, saveGpuChoice } from '../engine/webgpu/saved-choice.ts';

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
 */
export async function chooseWebGpu({ command, note, signal }: GpuChoiceOptions): Promise<boolean> {
  const key = await gpuKey();
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
  const cores = availableParallelism();
  let choice: { readonly workers: number; readonly line: string };
  try {
    const gpu = await measure({ engine: 'webgpu' });
    const native = nativeCandidates().find(({ missing }) => missing === null);
    const cpu = await measure(
      native === undefined
        ? { engine: 'wasm' }
        : { engine: 'native', package: native.package, folder: native.folder },
    );
    const isPreferred = isFaster(gpu, cpu, cores);
    const others = describe(cpu, workersOf(cpu, cores));
    choice = {
      workers: isPreferred ? 1 : 0,
      line: `Using ${isPreferred ? 'WebGPU' : 'no WebGPU'}, by measurement: ${describe(gpu, 1)}; ${others}`,
    };
  } catch (error) {
    if (signal.aborted) return false;
    choice = { workers: 0, line: `Using no WebGPU: ${errorMessage(error)}` };
  }
  saveGpuChoice(key, choice);
  note(choice.line);
  return choice.workers > 0;
}

function describe({ backend, device, msPerSample }: EngineBenchmark, workers: number): string {
  const each = workers === 1 ? '' : `, ${workers} workers`;
  return `${backend} on ${device}${each} ${(msPerSample / workers).toFixed(3)} ms a sample`;
}
