import { decodeBase64, host, instantiateWithMemory } from '../module.ts';
import type { WasmBackend } from './backend.ts';
import { simdBytesBase64 } from './simd-bytes.ts';

/** Exports of assembly/index.as. Pointers and strides count bytes, all other sizes count elements. */
export interface SimdKernels {
  gemmScratchBytes(m: number, n: number, k: number): number;
  gemm(
    a: number,
    b: number,
    out: number,
    m: number,
    n: number,
    k: number,
    transposeA: boolean,
    transposeB: boolean,
    scratch: number,
  ): void;
  packTurnedFilters(filter: number, taps: number, channels: number, filters: number, to: number): void;
  convScratchBytes(
    paddedHeight: number,
    paddedWidth: number,
    channels: number,
    needsPadding: boolean,
  ): number;
  conv(
    x: number,
    packed: number,
    out: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    filterHeight: number,
    filterWidth: number,
    filters: number,
    strideY: number,
    strideX: number,
    outHeight: number,
    outWidth: number,
    needsPadding: boolean,
    paddedHeight: number,
    paddedWidth: number,
    top: number,
    left: number,
    stretchY: number,
    stretchX: number,
    scratch: number,
  ): void;
  convFilterGradientScratchBytes(
    channels: number,
    filterHeight: number,
    filterWidth: number,
    filters: number,
    outHeight: number,
    outWidth: number,
    needsPadding: boolean,
    paddedHeight: number,
    paddedWidth: number,
  ): number;
  convFilterGradient(
    x: number,
    dy: number,
    out: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    filterHeight: number,
    filterWidth: number,
    filters: number,
    strideY: number,
    strideX: number,
    outHeight: number,
    outWidth: number,
    needsPadding: boolean,
    paddedHeight: number,
    paddedWidth: number,
    top: number,
    left: number,
    scratch: number,
  ): void;
  winogradFilterBytes(k: number, n: number): number;
  winogradFilters(filter: number, channels: number, filters: number, turned: boolean, to: number): void;
  winogradScratchBytes(channels: number, filters: number, outHeight: number, outWidth: number): number;
  winogradConv(
    x: number,
    packed: number,
    out: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    filters: number,
    outHeight: number,
    outWidth: number,
    top: number,
    left: number,
    scratch: number,
  ): void;
  winogradFilterGradientScratchBytes(
    channels: number,
    filters: number,
    outHeight: number,
    outWidth: number,
  ): number;
  winogradFilterGradient(
    x: number,
    dy: number,
    out: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    filters: number,
    outHeight: number,
    outWidth: number,
    top: number,
    left: number,
    scratch: number,
  ): void;
  reluGradient(dy: number, y: number, dx: number, n: number): void;
  addRow(x: number, bias: number, out: number, rows: number, columns: number): void;
  sumRows(x: number, out: number, rows: number, columns: number): void;
  maxPoolGradient(
    dy: number,
    x: number,
    y: number,
    dx: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    filterHeight: number,
    filterWidth: number,
    strideY: number,
    strideX: number,
    outHeight: number,
    outWidth: number,
    top: number,
    left: number,
  ): void;
}

const instances = new WeakMap<object, SimdKernels | null>();

/**
 * Kernels instantiated once for each backend, in the memory of tfjs, so that they work on its tensors without copies. Null
 * if the platform lacks SIMD or this tfjs does not expose its memory.
 */
export function simdKernels(backend: Pick<WasmBackend, 'wasm'>): SimdKernels | null {
  const existing = instances.get(backend);
  if (existing !== undefined) return existing;
  const kernels = instantiate(backend);
  instances.set(backend, kernels);
  return kernels;
}

function instantiate({ wasm }: Pick<WasmBackend, 'wasm'>): SimdKernels | null {
  const memory = (wasm.asm?.memory ?? wasm.wasmMemory) as { readonly buffer: object } | undefined;
  if (memory === undefined) return null;
  const module = decodeBase64(simdBytesBase64);
  if (host.SharedArrayBuffer !== undefined && memory.buffer instanceof host.SharedArrayBuffer) {
    importSharedMemory(module);
  }
  // Null also for a memory that may grow beyond the module's declared maximum.
  return instantiateWithMemory(memory, module) as SimdKernels | null;
}

/**
 * Changes the module's imported memory to a shared memory, which the threaded build of tfjs has. This is one bit in the
 * import's limits, which follow its name and its kind. The name does not occur before the import.
 */
function importSharedMemory(bytes: Uint8Array): void {
  const name = Array.from('memory', (char) => char.charCodeAt(0));
  const at = bytes.findIndex((_, i) => name.every((code, j) => bytes[i + j] === code));
  const limits = at + name.length + 1;
  bytes[limits] = (bytes[limits] as number) | 2;
}
