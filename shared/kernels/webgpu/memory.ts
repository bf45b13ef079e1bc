import type { GpuBuffer } from './backend.ts';

/** Used part of tfjs' WebGPUBackend (4.22). */
export interface MemoryBackend {
  readonly device: {
    readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
  };
  readonly tensorMap: {
    get(dataId: object): { readonly shape: readonly number[]; readonly resource?: object | null } | undefined;
  };
  readonly bufferManager: BufferManager;
  /** Commands that are not submitted yet. */
  readonly commandEncoder: object | null;
  uploadToGPU(dataId: object): void;
}

/** tfjs' pool of buffers. It keeps every released buffer for a request of exactly the same size and usage. */
interface BufferManager {
  readonly freeBuffers: Map<string, GpuBuffer[]>;
  numFreeBuffers: number;
  readonly numBytesUsed: number;
  numBytesAllocated: number;
  acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GpuBuffer;
}

/** Bytes of a value on the GPU, of any type. */
const VALUE_BYTES = 4;
/** Free memory that is kept, in relation to the most that recent steps used. */
const KEPT_FREE = 2;
/** Weight of an earlier step's memory against that of the next one. */
const DECAY = 0.9;

/** Sentence's end with the way out for a tensor that a GPU does not take. */
export const ADVICE = 'Set a smaller --batch-size or smaller samples for the run, or use another engine';
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en')} MB`;

/** Sentence's end about a GPU whose memory is full. */
export const outOfMemory = ({ bufferManager }: MemoryBackend): string =>
  `the GPU has no memory left (${megabytes(bufferManager.numBytesUsed)} are needed so far). ${ADVICE}`;

/**
 * Watches the memory of a backend. A tensor that is larger than the GPU takes, and a GPU without memory, become an error with a
 * sentence: otherwise, tfjs computes with a buffer that does not exist.
 * @param onFull called when the GPU has no memory for a buffer: something that was to be there from then on is missing
 * @returns a function to be called after each step; it frees buffers of sizes that are no longer used
 */
export function watchMemory(backend: MemoryBackend, onFull: (reason: string) => void): () => void {
  const { device, bufferManager: buffers, tensorMap } = backend;
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const largest = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const acquired = new Set<string>();
  let used = 0;
  let recent = 0;

  const upload = backend.uploadToGPU.bind(backend);
  backend.uploadToGPU = (dataId) => {
    const { shape = [], resource } = tensorMap.get(dataId) ?? {};
    if (resource === null || resource === undefined) {
      const bytes = shape.reduce((product, size) => product * size, VALUE_BYTES);
      if (bytes > largest)
        throw new Error(
          `A tensor of the shape [${shape.join(', ')}] needs ${megabytes(bytes)}, and this GPU takes ${megabytes(largest)} at most. ${ADVICE}.`,
        );
    }
    upload(dataId);
  };

  const acquire = buffers.acquireBuffer.bind(buffers);
  buffers.acquireBuffer = (size, usage, mappedAtCreation, reuse) => {
    if (size > maxBufferSize)
      throw new Error(
        `A transfer of ${megabytes(size)} is larger than this GPU takes, ${megabytes(maxBufferSize)}. Use a smaller model, or another engine.`,
      );
    try {
      const buffer = acquire(size, usage, mappedAtCreation, reuse);
      acquired.add(keyOf(buffer));
      used = Math.max(used, buffers.numBytesUsed);
      return buffer;
    } catch (error) {
      // That is how WebGPU reports it for a buffer that is mapped at once. For others, it is an error of the device.
      if (!(error instanceof RangeError)) throw error;
      const reason = outOfMemory(backend);
      onFull(reason);
      throw new Error(`The engine was lost: ${reason}`, { cause: error });
    }
  };

  // Shards differ in size from step to step, and the pool would keep the buffers of all sizes.
  return () => {
    // Commands that are not submitted may use free buffers: the pool would only give them to later ones.
    if (backend.commandEncoder !== null) return;
    recent = Math.max(used, recent * DECAY);
    used = buffers.numBytesUsed;
    if (buffers.numBytesAllocated - buffers.numBytesUsed > KEPT_FREE * recent) {
      for (const [key, free] of buffers.freeBuffers) {
        if (acquired.has(key)) continue;
        for (const buffer of free) {
          buffer.destroy();
          buffers.numBytesAllocated -= buffer.size;
          buffers.numFreeBuffers--;
        }
        free.length = 0;
      }
    }
    acquired.clear();
  };
}

/** Key of a buffer in the pool of tfjs. */
const keyOf = ({ size, usage }: GpuBuffer): string => `${size}_${usage}`;
