import type { Tensor } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { bufferOf, BufferUsage, type WebGpuBackend } from './backend.ts';

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
