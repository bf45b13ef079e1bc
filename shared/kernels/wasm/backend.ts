import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

export type TensorInfo = tfjs.TensorInfo;
export type KernelFunc = tfjs.KernelFunc;

/** What kernels here use of tfjs' BackendWasm (4.22); it does not export a type for it. */
export interface WasmBackend {
  readonly wasm: {
    /** The backend's exports, `memory` among them. */
    readonly asm?: { readonly memory?: unknown };
    /** The memory of the threaded build, which imports it. */
    readonly wasmMemory?: unknown;
    _malloc(bytes: number): number;
    _free(pointer: number): void;
  };
  readonly dataIdMap: { get(dataId: object): { readonly memoryOffset: number } };
  makeOutput(shape: number[], dtype: tfjs.DataType): TensorInfo;
  typedArrayFromHeap(info: TensorInfo): Float32Array | Int32Array | Uint8Array;
  disposeData(dataId: object): boolean;
}

/** What a kernel is called with, named and typed. */
export interface KernelCall<Inputs, Attrs> {
  readonly inputs: Inputs;
  readonly attrs: Attrs;
  readonly backend: WasmBackend;
}

/** Gives a kernel written with its own types the type that tfjs' registry wants. */
export function kernelFunc<Inputs, Attrs>(
  run: (call: KernelCall<Inputs, Attrs>) => TensorInfo | TensorInfo[],
): KernelFunc {
  return run as unknown as KernelFunc;
}

/** Where a tensor's values start in the backend's memory, in bytes. */
export function pointerOf(backend: WasmBackend, info: TensorInfo): number {
  return backend.dataIdMap.get(info.dataId).memoryOffset;
}

/** A float32 tensor's values in the backend's memory; not to be kept, for the memory may move as it grows. */
export function floatsOf(backend: WasmBackend, info: TensorInfo): Float32Array {
  return backend.typedArrayFromHeap(info) as Float32Array;
}

/** An output of zeros: the sum of nothing. */
export function zeros(backend: WasmBackend, shape: readonly number[]): TensorInfo {
  const out = backend.makeOutput([...shape], 'float32');
  floatsOf(backend, out).fill(0);
  return out;
}

/** Runs `use` with a piece of the backend's memory and frees it afterwards. Throws where there is none left. */
export function withScratch<T>(backend: WasmBackend, bytes: number, use: (pointer: number) => T): T {
  const pointer = backend.wasm._malloc(bytes);
  if (pointer === 0) {
    throw new Error(`The WebAssembly backend has no ${bytes} bytes left. Use a smaller batch.`);
  }
  try {
    return use(pointer);
  } finally {
    backend.wasm._free(pointer);
  }
}

/** Runs another kernel of the wasm backend by name. The caller disposes of the result. */
export function callKernel(
  tf: TF,
  name: string,
  backend: WasmBackend,
  inputs: Record<string, TensorInfo>,
  attrs: object = {},
): TensorInfo {
  const kernel = tf.getKernel(name, 'wasm') as tfjs.KernelConfig | undefined;
  if (kernel === undefined) throw new Error(`The WebAssembly backend has no kernel ${name}.`);
  const result = kernel.kernelFunc({ inputs, backend, attrs: attrs as tfjs.NamedAttrMap });
  return result as TensorInfo;
}

/** Applies one kernel after another, each to the output of the one before, and frees what lies between. */
export function chain(
  tf: TF,
  backend: WasmBackend,
  start: TensorInfo,
  ...steps: readonly (readonly [name: string, input: string, attrs: object])[]
): TensorInfo {
  let current = start;
  for (const [name, input, attrs] of steps) {
    const next = callKernel(tf, name, backend, { [input]: current }, attrs);
    if (current !== start) backend.disposeData(current.dataId);
    current = next;
  }
  return current;
}
