/** The part of the module of tfjs' WebAssembly backend that is used here. */
interface Heap {
  readonly HEAPU8: Uint8Array;
  _malloc: (bytes: number) => number;
  _free: (pointer: number) => void;
}

/** Bytes before and behind each allocation. */
const GUARD_BYTES = 256;
/** Four of these are a NaN: a kernel that computes with what it reads beyond a tensor gives NaN. */
const POISON = 0xff;

/** The guards around each allocation on the backend's heap. */
export interface GuardedHeap {
  /** @throws Error if a guard was written to since it was made */
  check(): void;
  /** The heap as it was. What was allocated since stays guarded until it is freed, which must happen before. */
  restore(): void;
}

/**
 * Surrounds everything that is allocated on the backend's heap from now on with guards, and fills it with NaN, so that a kernel
 * that writes beyond a tensor is found, and one that uses what it never wrote or what lies beyond.
 */
export function guardHeap(backend: unknown): GuardedHeap {
  const { wasm } = backend as { wasm: Heap };
  // The module replaces these by the functions themselves when they are called first.
  wasm._free(wasm._malloc(16));
  const { _malloc: malloc, _free: free } = wasm;
  const allocated = new Map<number, number>();

  const checkOne = (start: number, bytes: number): void => {
    const heap = wasm.HEAPU8;
    for (let i = 1; i <= GUARD_BYTES; i++) {
      if (heap[start - i] !== POISON) throw new Error(`Something wrote ${i} bytes before a tensor.`);
      if (heap[start + bytes + i - 1] !== POISON)
        throw new Error(`Something wrote ${i} bytes behind a tensor.`);
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
