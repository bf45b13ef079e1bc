import type { DataType, KernelFunc, Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

// The part of tfjs' WebGPUBackend (4.22) and of WebGPU that the kernels use. TypeScript's library has no types for WebGPU, and tfjs
// exports none for its backend.

/** Flags of GPUBufferUsage. */
const BufferUsage = {
  mapRead: 0x1,
  mapWrite: 0x2,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const;

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
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
  readonly queue: { writeBuffer(buffer: GpuBuffer, offset: number, data: ArrayBufferView): void };
  createBuffer(descriptor: object): GpuBuffer;
  createShaderModule(descriptor: object): object;
  createComputePipeline(descriptor: object): Pipeline;
  createComputePipelineAsync(descriptor: object): Promise<Pipeline>;
  createBindGroup(descriptor: object): object;
}

/** Values of a tensor: in this process' memory, on the GPU, or not there yet. */
interface TensorData {
  readonly dtype: string;
  values?: ArrayLike<number> | null;
  resource?: GpuBuffer | null;
}

export interface WebGpuBackend {
  readonly device: GpuDevice;
  readonly tensorMap: {
    get(dataId: object): TensorData | undefined;
  };
  readonly pipelineCache: Record<string, Pipeline | Promise<Pipeline>>;
  readonly bufferManager: {
    acquireBuffer(size: number, usage: number, isMapped?: boolean, isReused?: boolean): GpuBuffer;
    releaseBuffer(buffer: GpuBuffer): void;
  };
  readonly commandQueueOwnedIds: WeakSet<object>;
  readonly stagingPendingDisposal: GpuBuffer[];
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
  /** Tensors of four bytes a value that are read, at the bindings 0, 1, ... */
  readonly inputs: readonly TensorInfo[];
  /** Tensors of four bytes a value that are written, at the bindings after the inputs. */
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

/** Whether kernels compile their pipelines and do not run. */
const isCompiling = (tf: TF): boolean => tf.env().getBool('WEBGPU_ENGINE_COMPILE_ONLY');

/** Runs a shader: adds it to tfjs' queue of commands. */
export function dispatch(tf: TF, backend: WebGpuBackend, what: Dispatch): void {
  const { inputs, outputs, workgroups } = what;
  if (outputs.every(({ shape }) => tf.util.sizeFromShape(shape) === 0)) return;
  const compileOnly = isCompiling(tf);
  const pipeline = (backend.pipelineCache[what.key] ??= compile(backend, what, compileOnly));
  const tensors = [...inputs, ...outputs];
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  if (compileOnly) return;
  if (pipeline instanceof Promise) throw new Error(`The shader ${what.name} is not compiled yet.`);
  const uniform = uniformBuffer(backend, what.uniforms);
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

/** Buffers of uniforms by their values. The sizes of a model and its shards recur in every step. */
const uniformBuffers = new WeakMap<WebGpuBackend, Map<string, GpuBuffer>>();
/** Uniforms that are kept; the oldest are made anew. */
const MAX_UNIFORMS = 1_000;

function uniformBuffer(backend: WebGpuBackend, values: readonly number[]): GpuBuffer {
  const kept = uniformBuffers.get(backend) ?? new Map<string, GpuBuffer>();
  uniformBuffers.set(backend, kept);
  const key = values.join();
  const existing = kept.get(key);
  if (existing !== undefined) return existing;
  const size = Math.ceil(values.length / 4) * 16;
  const usage = BufferUsage.copyTarget | BufferUsage.uniform;
  const buffer = backend.device.createBuffer({ size, usage });
  backend.device.queue.writeBuffer(buffer, 0, Uint32Array.from(values));
  kept.set(key, buffer);
  const [oldest] = kept.keys();
  // WebGPU frees it after the commands that use it, when nothing refers to it.
  if (kept.size > MAX_UNIFORMS && oldest !== undefined) kept.delete(oldest);
  return buffer;
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

/** Transfers of float32 tensors to and from the GPU, any number of them at once. */
export interface WebGpuTransfers {
  read(tensor: Tensor, target: Float32Array): Promise<void>;
  readTogether(tensors: readonly Tensor[], targets: readonly Float32Array[]): Promise<void>;
  uploadTogether(tensors: readonly Tensor[]): void;
}

/** @param watch called with the promise of each transfer from the GPU */
export function webGpuTransfers(
  tf: TF,
  watch: <T>(transfer: Promise<T>) => Promise<T> = (transfer) => transfer,
): WebGpuTransfers {
  const backend = tf.backend() as unknown as WebGpuBackend;
  const readTogether = (tensors: readonly Tensor[], targets: readonly Float32Array[]): Promise<void> =>
    watch(readTensors(tf, backend, tensors, targets));
  return {
    readTogether,
    read: (tensor, target) => readTogether([tensor], [target]),
    uploadTogether: (tensors) => uploadTensors(backend, tensors),
  };
}

/** Uploads the tensors that are not on the GPU yet through one buffer. */
function uploadTensors(backend: WebGpuBackend, tensors: readonly Tensor[]): void {
  const missing = new Map<TensorData, number>();
  for (const { dataId, size, dtype } of tensors) {
    const data = backend.tensorMap.get(dataId);
    const isMissing = data !== undefined && !data.resource && data.values;
    const isWord = dtype === 'float32' || dtype === 'int32';
    if (isMissing && isWord && size > 0) missing.set(data, size * Float32Array.BYTES_PER_ELEMENT);
  }
  const bytes = [...missing.values()].reduce((total, size) => total + size, 0);
  const { maxBufferSize, maxStorageBufferBindingSize } = backend.device.limits;
  // Each is uploaded when it is used, or refused with its shape.
  if (missing.size < 2 || bytes > Math.min(maxBufferSize, maxStorageBufferBindingSize)) return;
  // A buffer that is mapped from its creation is not used again.
  const usage = BufferUsage.mapWrite | BufferUsage.copySource;
  const staging = backend.bufferManager.acquireBuffer(bytes, usage, true, false);
  const range = staging.getMappedRange();
  let offset = 0;
  for (const [data, size] of missing) {
    const Values = data.dtype === 'int32' ? Int32Array : Float32Array;
    new Values(range, offset).set(data.values ?? []);
    offset += size;
  }
  staging.unmap();
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  offset = 0;
  for (const [data, size] of missing) {
    const target = backend.bufferManager.acquireBuffer(
      size,
      BufferUsage.storage | BufferUsage.copySource | BufferUsage.copyTarget,
    );
    backend.commandEncoder?.copyBufferToBuffer(staging, offset, target, 0, size);
    data.resource = target;
    data.values = null;
    offset += size;
  }
  backend.stagingPendingDisposal.push(staging);
}

async function readTensors(
  tf: TF,
  backend: WebGpuBackend,
  tensors: readonly Tensor[],
  targets: readonly Float32Array[],
): Promise<void> {
  const bytes = targets.reduce((total, { byteLength }) => total + byteLength, 0);
  if (bytes === 0 || isCompiling(tf)) return;
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
