import { errorMessage } from '../../shared/util/error-message.ts';
import {
  benchmarkInChild,
  type BenchmarkTarget,
  type EngineBenchmark,
} from '../engine/benchmark/benchmark-child.ts';
import { nativeCandidates } from '../engine/locate/candidates.ts';
import { findWebGpuPackage, WEBGPU_VERSION } from '../engine/webgpu/webgpu-package.ts';
import { listGpus } from '../engine/webgpu/open-webgpu.ts';
import { loadChoice, saveChoice } from './saved-choices.ts';

export interface GpuChoiceOptions {
  /** Program of gradcast, which measures engines in child processes. */
  readonly programFile: string;
  /** Receives lines about the measurement and its result. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  readonly cores: number;
  readonly cacheFile: string;
  /** Whether other processes compute at the moment: measurements are not saved then. */
  readonly isBusy: boolean;
}

const BATCH_SIZE = 128;

/**
 * Whether a worker on the GPU by WebGPU is right and faster than this machine's other engines together. It is measured once for each
 * set of GPUs and version of Dawn; without the package of WebGPU the answer is no.
 */
export async function prefersWebGpu(options: GpuChoiceOptions): Promise<boolean> {
  const { note, signal, cores, cacheFile, isBusy } = options;
  if (findWebGpuPackage() === null) return false;
  try {
    const gpus = await listGpus();
    if (gpus.length === 0) return false;
    const other = nativeCandidates().find(({ missing }) => missing === null);
    const key = [
      'webgpu',
      WEBGPU_VERSION,
      ...gpus,
      other?.folder ?? other?.package ?? 'wasm',
      `${cores} cores`,
    ].join(', ');
    const saved = loadChoice(cacheFile, key);
    if (saved !== null) {
      note(`${saved.line} (measured before)`);
      return saved.workers === 1;
    }
    note('Measuring the GPU against the processor (some seconds) ...');
    const measure = async (target: BenchmarkTarget): Promise<EngineBenchmark> => {
      const result = await benchmarkInChild(options.programFile, target, BATCH_SIZE, signal);
      if (!result.ok) throw new Error(`${target.engine}: ${result.reason}`);
      return result.benchmark;
    };
    const gpu = await measure({ engine: 'webgpu' });
    const cpu = await measure(
      other === undefined
        ? { engine: 'wasm' }
        : { engine: 'native', package: other.package, folder: other.folder },
    );
    const isPreferred = isFaster(gpu, cpu, cores);
    const line = `Using ${isPreferred ? 'the GPU' : 'the processor'}: ${describe('WebGPU', gpu, 1)}; ${describe(cpu.tensorflow === null ? 'WebAssembly' : 'TensorFlow', cpu, workersOf(cpu, cores))}`;
    if (!isBusy) saveChoice(cacheFile, key, { workers: isPreferred ? 1 : 0, line });
    note(line);
    return isPreferred;
  } catch (error) {
    if (!signal.aborted) note(`WebGPU is not used: ${errorMessage(error)}`);
    return false;
  }
}

/** Whether a GPU is faster than workers of another engine on all cores. A processor in place of a GPU is not. */
export const isFaster = (gpu: EngineBenchmark, cpu: EngineBenchmark, cores: number): boolean =>
  gpu.gpu && gpu.msPerSample < cpu.msPerSample / workersOf(cpu, cores);

/** Workers of an engine that use all cores: the benchmark of WebAssembly uses one. */
const workersOf = ({ gpu, threads }: EngineBenchmark, cores: number): number =>
  gpu ? 1 : Math.max(1, Math.floor(cores / threads));

function describe(name: string, { device, msPerSample }: EngineBenchmark, workers: number): string {
  const each = workers === 1 ? '' : `, ${workers} workers`;
  return `${name} on ${device}${each}: ${(msPerSample / workers).toFixed(3)} ms a sample`;
}
