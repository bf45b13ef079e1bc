import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { chooseWebGpu } from '../autotune/choose-webgpu.ts';
import { nativeCandidates } from '../engine/locate/candidates.ts';
import { resolveDevices, visibleDeviceEnv, type Devices } from '../engine/native/nvidia-gpus.ts';
import { selectGpus } from '../engine/webgpu/gpus.ts';
import { readGpusInChild } from '../engine/benchmark/gpus-in-child.ts';
import { gpuEnv, NO_GPU } from '../engine/webgpu/open-webgpu.ts';
import { driverAdvice, thisSystem } from '../engine/webgpu/system.ts';
import { findWebGpuPackage } from '../engine/webgpu/webgpu-package.ts';
import type { WorkerSpec } from './run-processes.ts';

/** Workers of a machine, and the engine that all of them use. */
export interface WorkerGroup {
  readonly engine: EngineChoice;
  readonly workers: readonly WorkerSpec[];
}

export interface DeviceWorkersOptions {
  readonly devices: Devices;
  readonly engine: EngineChoice;
  /** Name of this machine in the run. */
  readonly name: string;
  /** Runs gradcast, which measures engines in child processes. */
  readonly command: readonly [string, ...string[]];
  /** The same as a person types it. */
  readonly commandLine: string;
  readonly signal: AbortSignal;
  /** Writes a line about normal progress. */
  readonly info: (line: string) => void;
  /** Writes a line about a problem. */
  readonly note: (line: string) => void;
}

/**
 * The workers of `--devices`, one for each GPU: by CUDA with native TensorFlow, or by WebGPU. With the engine `auto` and both of them
 * installed, the faster one by measurement. None if the signal is aborted.
 * @throws Error with a sentence if no engine of this machine uses a GPU, or a requested GPU cannot be used
 */
export async function chooseDeviceWorkers(options: DeviceWorkersOptions): Promise<WorkerGroup> {
  const { devices, name, command, signal, note } = options;
  const engine = await chooseDeviceEngine(options);
  if (signal.aborted) return { engine, workers: [] };
  if (engine !== 'webgpu') {
    const workers = resolveDevices(devices).map((number) => ({
      name: `${name}-gpu${number}`,
      env: visibleDeviceEnv(number),
    }));
    return { engine, workers };
  }
  const present = await readGpusInChild(command, signal).catch((error: unknown) => {
    if (signal.aborted) return null;
    throw new Error(`No WebGPU here: ${errorMessage(error)}. docs/guide/gpus.md lists causes.`);
  });
  if (present === null) return { engine, workers: [] };
  if (present.length === 0) throw new Error(`No WebGPU here: ${NO_GPU}. ${driverAdvice(thisSystem())}`);
  const { gpus, remark } = selectGpus(present, devices);
  if (remark !== null) note(remark);
  const workers = gpus.map((gpu) => ({ name: `${name}-gpu${gpu.number}`, env: gpuEnv(gpu.name) }));
  return { engine, workers };
}

/** Engine that uses the GPUs. @throws Error with a sentence if there is none */
async function chooseDeviceEngine(options: DeviceWorkersOptions): Promise<EngineChoice> {
  const { engine, command, commandLine, signal, info } = options;
  if (engine === 'wasm')
    throw new Error('WebAssembly computes on the CPU: --devices needs --engine native or webgpu.');
  const hasCuda = nativeCandidates().some(({ variant, missing }) => variant === 'gpu' && missing === null);
  const hasWebGpu = findWebGpuPackage() !== null;
  if (engine === 'webgpu') {
    if (hasWebGpu) return engine;
    throw new Error(
      `The package webgpu is not installed. This gets it: ${commandLine} engine install --webgpu`,
    );
  }
  if (hasCuda) {
    const isWebGpuFaster = engine === 'auto' && (await chooseWebGpu({ command, note: info, signal }));
    return isWebGpuFaster ? 'webgpu' : engine;
  }
  if (engine === 'auto' && hasWebGpu) return 'webgpu';
  const other =
    engine === 'auto' ? `; or, for a GPU of any vendor: ${commandLine} engine install --webgpu` : '';
  throw new Error(
    `No native TensorFlow for GPUs here. This gets it: ${commandLine} engine install --gpu${other}`,
  );
}
