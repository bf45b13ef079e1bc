import { instantiate } from '../instantiate.ts';
import { decodeBase64, host, instantiateWithMemory } from '../module.ts';
import type { WasmBackend } from './backend.ts';
import { multiplyAddBytesBase64 } from './multiply-add-bytes.ts';
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
    bias: number,
    relu: boolean,
    out: number,
    winners: number,
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
  winogradFourFilterGradientScratchBytes(channels: number, filters: number): number;
  winogradFourFilterGradient(
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
  patchConvScratchBytes(taps: number, filters: number, outWidth: number): number;
  patchImageBytes(
    channels: number,
    filterHeight: number,
    filterWidth: number,
    strideY: number,
    strideX: number,
    outHeight: number,
    outWidth: number,
  ): number;
  patchConv(
    x: number,
    filter: number,
    bias: number,
    relu: boolean,
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
    top: number,
    left: number,
    scratch: number,
  ): void;
  patchFilterGradientScratchBytes(taps: number, filters: number, outWidth: number): number;
  patchFilterGradient(
    x: number,
    dy: number,
    y: number,
    out: number,
    bias: number,
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
    top: number,
    left: number,
    scratch: number,
  ): void;
  addPatches(
    patches: number,
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
  pooledScratchBytes(channels: number, filters: number, outHeight: number, outWidth: number): number;
  pooledFilterGradient(
    x: number,
    dy: number,
    winners: number,
    out: number,
    bias: number,
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
  pooledInputGradient(
    dy: number,
    winners: number,
    filter: number,
    dx: number,
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
  keyedDropoutScratchBytes(): number;
  keyedDropout(
    x: number,
    keys: number,
    y: number,
    samples: number,
    size: number,
    layer: number,
    threshold: number,
    scale: number,
    scratch: number,
  ): void;
  reluGradient(dy: number, y: number, dx: number, n: number): void;
  /** Whether these are the kernels that round a * b + c once. */
  roundsOnce(): number;
  addBias(x: number, bias: number, rows: number, columns: number, relu: boolean): void;
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

/** Kernels of each memory of a backend: with fused multiply-add, and without. */
const instances = new WeakMap<object, Map<boolean, SimdKernels | null>>();

/**
 * Kernels instantiated once for each backend, in the memory of tfjs, so that they work on its tensors without copies. Null
 * if the platform lacks SIMD or this tfjs does not expose its memory.
 * @param multiplyAdd false rounds each product before it is added, also where fusesMultiplyAdd()
 */
export function simdKernels(backend: Pick<WasmBackend, 'wasm'>, multiplyAdd = true): SimdKernels | null {
  const isFused = multiplyAdd && fusesMultiplyAdd();
  const forms = instances.get(backend) ?? new Map<boolean, SimdKernels | null>();
  instances.set(backend, forms);
  const existing = forms.get(isFused);
  if (existing !== undefined) return existing;
  const kernels = instantiateIn(backend, isFused ? multiplyAddBytesBase64 : simdBytesBase64);
  forms.set(isFused, kernels);
  return kernels;
}

let isFusing: boolean | undefined;

/**
 * Whether a * b + c can be rounded once here. Relaxed SIMD leaves that to the CPU, so it is computed. Where this is false, kernels
 * have the bits of the plain module. In Node 20 relaxed SIMD must be enabled before the first call, which decides.
 */
export function fusesMultiplyAdd(): boolean {
  isFusing ??= computeIsFusing();
  return isFusing;
}

/** Whether (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24: the square alone is rounded to 1 + 2^-11. */
function computeIsFusing(): boolean {
  const module = instantiate(multiplyAddBytesBase64, 65536);
  if (module === null) return false;
  const x = 1 + 2 ** -12;
  const y = 1 + 2 ** -11;
  const heap = new Float32Array(module.buffer);
  heap.set([-y, x, 1, x]);
  (module.exports as SimdKernels).gemm(0, 8, 16, 1, 1, 2, false, false, 32);
  return heap[4] === 2 ** -24;
}

function instantiateIn({ wasm }: Pick<WasmBackend, 'wasm'>, base64: string): SimdKernels | null {
  const memory = (wasm.asm?.memory ?? wasm.wasmMemory) as { readonly buffer: object } | undefined;
  if (memory === undefined) return null;
  const module = decodeBase64(base64);
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
