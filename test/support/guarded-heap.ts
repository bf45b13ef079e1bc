/** Used part of the module of tfjs' WebAssembly backend. */
interface Heap {
  readonly HEAPU8: Uint8Array;
  _malloc: (bytes: number) => number;
  _free: (pointer: number) => void;
}

/** Bytes before and after each allocation. */
const GUARD_BYTES = 256;
/** Four of these bytes are a NaN, so that a kernel that reads beyond a tensor computes NaN. */
const POISON = 0xff;

/** Guards around each allocation on the backend's heap. */
export interface GuardedHeap {
  /** @throws Error if a guard was overwritten */
  check(): void;
  /** Restores the plain heap. All guarded allocations must be freed before. */
  restore(): void;
}

/**
 * Surrounds new allocations on the backend's heap with guards and fills them with NaN. This finds kernels that write beyond
 * a tensor, read beyond it, or read memory that they never wrote.
 */
export function guardHeap(backend: unknown): GuardedHeap {
  const { wasm } = backend as { wasm: Heap };
  // The first call makes the module replace its stubs by the real functions.
  wasm._free(wasm._malloc(16));
  const { _malloc: malloc, _free: free } = wasm;
  const allocated = new Map<number, number>();

  const checkOne = (start: number, bytes: number): void => {
    const heap = wasm.HEAPU8;
    for (let i = 1; i <= GUARD_BYTES; i++) {
      if (heap[start - i] !== POISON) throw new Error(`A kernel wrote ${i} bytes before a tensor.`);
      if (heap[start + bytes + i - 1] !== POISON)
        throw new Error(`A kernel wrote ${i} bytes after a tensor.`);
    }
  };

  wasm._malloc = (bytes) => {
    const pointer = malloc(bytes + 2 * GUARD_BYTES) >>> 0;
    if (pointer === 0) return 0;
    wasm.HEAPU8.fill(POISON, pointer, pointer + bytes + 2 * GUARD_BYTES);
    allocated.set(pointer + GUARD_BYTES, bytes);
    return pointer + GUARD_BYTES;
  };
  wasm._free = (pointer) => {
    const bytes = allocated.get(pointer >>> 0);
    if (bytes === undefined) {
      free(pointer);
      return;
    }
    checkOne(pointer >>> 0, bytes);
    allocated.delete(pointer >>> 0);
    free(pointer - GUARD_BYTES);
  };
  return {
    check: () => allocated.forEach((bytes, start) => checkOne(start, bytes)),
    restore() {
      wasm._malloc = malloc;
      wasm._free = free;
    },
  };
}
