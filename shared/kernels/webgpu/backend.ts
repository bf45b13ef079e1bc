import type { DataType, KernelFunc, Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

// The part of tfjs' WebGPUBackend (4.22) and of WebGPU that the kernels use. TypeScript's library has no types for WebGPU, and tfjs
// exports none for its backend.

/** Flags of GPUBufferUsage. */
const BufferUsage = { mapRead: 0x1, copySource: 0x4, copyTarget: 0x8, uniform: 0x40 } as const;

export interface GpuBuffer {
  readonly size: number;
  readonly usage: number;
  mapAsync(mode: number): Promise<void>;
  getMappedRange(offset?: number, size?: number): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

interface Pipeline {
  getBindGroupLayout(index: number): object;
}

interface ComputePass {
  setPipeline(pipeline: Pipeline): void;
  setBindGroup(index: number, group: object): void;
  dispatchWorkgroups(x: number, y?: number, z?: number): void;
}

interface CommandEncoder {
  beginComputePass(descriptor: object): ComputePass;
  copyBufferToBuffer(source: GpuBuffer, from: number, target: GpuBuffer, to: number, size: number): void;
}

interface GpuDevice {
  readonly queue: { writeBuffer(buffer: GpuBuffer, offset: number, data: ArrayBufferView): void };
  createShaderModule(descriptor: object): object;
  createComputePipeline(descriptor: object): Pipeline;
  createComputePipelineAsync(descriptor: object): Promise<Pipeline>;
  createBindGroup(descriptor: object): object;
}

export interface WebGpuBackend {
  readonly device: GpuDevice;
  readonly tensorMap: {
    get(dataId: object): { readonly dtype: string; readonly resource: GpuBuffer | null } | undefined;
  };
  readonly pipelineCache: Record<string, Pipeline | Promise<Pipeline>>;
  readonly bufferManager: {
    acquireBuffer(size: number, usage: number): GpuBuffer;
    releaseBuffer(buffer: GpuBuffer): void;
  };
  readonly commandQueueOwnedIds: WeakSet<object>;
  readonly uniformPendingDisposal: GpuBuffer[];
  commandEncoder: CommandEncoder | null;
  computePassEncoder: ComputePass | null;
  dispatchCountInPass: number;
  makeTensorInfo(shape: number[], dtype: DataType, values?: Float32Array): TensorInfo;
  disposeData(dataId: object): boolean;
  uploadToGPU(dataId: object): void;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

/** Arguments of a kernel, with its own types. */
export interface KernelCall<Inputs, Attrs> {
  readonly inputs: Inputs;
  readonly attrs: Attrs;
  readonly backend: WebGpuBackend;
}

/** Converts a kernel with its own types to the type of tfjs' registry. */
export function kernelFunc<Inputs, Attrs>(
  run: (call: KernelCall<Inputs, Attrs>) => TensorInfo | TensorInfo[],
): KernelFunc {
  return run as unknown as KernelFunc;
}

/** One run of a shader. */
export interface Dispatch {
  /** Names the shader in errors and profiles. */
  readonly name: string;
  /** Names the pipeline: equal keys have equal code. */
  readonly key: string;
  /** Makes the WGSL; called once for each key. */
  readonly code: () => string;
  /** Tensors of float32 that are read, at the bindings 0, 1, ... */
  readonly inputs: readonly TensorInfo[];
  /** Tensors of float32 that are written, at the bindings after the inputs. */
  readonly outputs: readonly TensorInfo[];
  /** Values of the uniform at the last binding. */
  readonly uniforms: readonly number[];
  /** Number of workgroups; the shader counts them with {@link WORKGROUP_NUMBER}. */
  readonly workgroups: number;
}

/** Workgroups of a row; WebGPU allows 65,535 along an axis. */
const ROW = 32_768;

/** WGSL of the number of a workgroup, given `@builtin(workgroup_id) group: vec3u`. */
export const WORKGROUP_NUMBER = `(group.x + group.y * ${ROW}u)`;

/** Flag of tfjs with which kernels compile their pipelines and do not run. */
const COMPILE_ONLY = 'WEBGPU_ENGINE_COMPILE_ONLY';

/** Runs a shader: adds it to tfjs' queue of commands. */
export function dispatch(tf: TF, backend: WebGpuBackend, what: Dispatch): void {
  const { inputs, outputs, workgroups } = what;
  const compileOnly = tf.env().getBool(COMPILE_ONLY);
  const pipeline = (backend.pipelineCache[what.key] ??= compile(backend, what, compileOnly));
  const tensors = [...inputs, ...outputs];
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  if (compileOnly) return;
  if (pipeline instanceof Promise) throw new Error(`The shader ${what.name} is not compiled yet.`);
  const uniforms = Uint32Array.from(what.uniforms);
  const uniform = backend.bufferManager.acquireBuffer(
    Math.ceil(uniforms.byteLength / 16) * 16,
    BufferUsage.copyTarget | BufferUsage.uniform,
  );
  backend.device.queue.writeBuffer(uniform, 0, uniforms);
  backend.uniformPendingDisposal.push(uniform);
  const buffers = [...tensors.map(({ dataId }) => bufferOf(backend, dataId)), uniform];
  for (const { dataId } of tensors) backend.commandQueueOwnedIds.add(dataId);
  const group = backend.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  backend.ensureCommandEncoderReady();
  const encoder = backend.commandEncoder as CommandEncoder;
  const pass = (backend.computePassEncoder ??= encoder.beginComputePass({}));
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.min(workgroups, ROW), Math.ceil(workgroups / ROW));
  backend.dispatchCountInPass++;
  if (backend.dispatchCountInPass < tf.env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE')) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

function compile(
  { device }: WebGpuBackend,
  { name, code }: Dispatch,
  asynchronously: boolean,
): Pipeline | Promise<Pipeline> {
  const module = device.createShaderModule({ code: code(), label: name });
  const descriptor = { compute: { module, entryPoint: 'main' }, label: name, layout: 'auto' };
  return asynchronously
    ? device.createComputePipelineAsync(descriptor)
    : device.createComputePipeline(descriptor);
}

/** Buffer of a tensor that is on the GPU. */
function bufferOf(backend: WebGpuBackend, dataId: object): GpuBuffer {
  const buffer = backend.tensorMap.get(dataId)?.resource;
  if (buffer === null || buffer === undefined) throw new Error('A tensor of the GPU has no buffer.');
  return buffer;
}

/** GPUMapMode.READ. */
const MAP_READ = 1;

/**
 * Reads float32 tensors from the GPU, any number of them with one transfer.
 * @param watch called with each transfer's promise
 */
export function webGpuReader(
  tf: TF,
  watch: <T>(transfer: Promise<T>) => Promise<T> = (transfer) => transfer,
): {
  read(tensor: Tensor, target: Float32Array): Promise<void>;
  readTogether(tensors: readonly Tensor[], targets: readonly Float32Array[]): Promise<void>;
} {
  const readTogether = (tensors: readonly Tensor[], targets: readonly Float32Array[]): Promise<void> =>
    watch(readTensors(tf.backend() as unknown as WebGpuBackend, tensors, targets));
  return { readTogether, read: (tensor, target) => readTogether([tensor], [target]) };
}

async function readTensors(
  backend: WebGpuBackend,
  tensors: readonly Tensor[],
  targets: readonly Float32Array[],
): Promise<void> {
  const bytes = targets.reduce((total, { byteLength }) => total + byteLength, 0);
  if (bytes === 0) return;
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  const staging = backend.bufferManager.acquireBuffer(bytes, BufferUsage.copyTarget | BufferUsage.mapRead);
  try {
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    let offset = 0;
    tensors.forEach(({ dataId }, i) => {
      const size = targets[i]?.byteLength ?? 0;
      if (size > 0)
        backend.commandEncoder?.copyBufferToBuffer(bufferOf(backend, dataId), 0, staging, offset, size);
      offset += size;
    });
    backend.submitQueue();
    await staging.mapAsync(MAP_READ);
    const values = new Float32Array(staging.getMappedRange());
    offset = 0;
    for (const target of targets) {
      target.set(values.subarray(offset, offset + target.length));
      offset += target.length;
    }
    staging.unmap();
  } finally {
    backend.bufferManager.releaseBuffer(staging);
  }
}
