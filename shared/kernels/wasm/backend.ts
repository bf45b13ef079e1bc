import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

export type TensorInfo = tfjs.TensorInfo;
export type KernelFunc = tfjs.KernelFunc;

/** Members of tfjs' BackendWasm (4.22) that the kernels use; tfjs exports no type for them. */
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

/** Arguments of a kernel, with its own types. */
export interface KernelCall<Inputs, Attrs> {
  readonly inputs: Inputs;
  readonly attrs: Attrs;
  readonly backend: WasmBackend;
}

/** Converts a kernel with its own types to the type of tfjs' registry. */
export function kernelFunc<Inputs, Attrs>(
  run: (call: KernelCall<Inputs, Attrs>) => TensorInfo | TensorInfo[],
): KernelFunc {
  return run as unknown as KernelFunc;
}

/** Byte offset of a tensor's values in the backend's memory. */
export function pointerOf(backend: WasmBackend, info: TensorInfo): number {
  return backend.dataIdMap.get(info.dataId).memoryOffset;
}

/** View of a float32 tensor's values in the backend's memory; invalid after the next allocation, which may move the memory. */
export function floatsOf(backend: WasmBackend, info: TensorInfo): Float32Array {
  return backend.typedArrayFromHeap(info) as Float32Array;
}

/** Output tensor of zeros. */
export function zeros(backend: WasmBackend, shape: readonly number[]): TensorInfo {
  const out = backend.makeOutput([...shape], 'float32');
  floatsOf(backend, out).fill(0);
  return out;
}

/** Runs `use` with scratch memory of the backend and frees it afterwards. @throws Error if the memory is exhausted */
export function withScratch<T>(backend: WasmBackend, bytes: number, use: (pointer: number) => T): T {
  // malloc() would take what is left of the number modulo 2^32.
  const pointer = bytes < 2 ** 32 ? backend.wasm._malloc(bytes) : 0;
  if (pointer === 0) {
    throw new Error(`The WebAssembly backend has no ${bytes} bytes left. Use a smaller batch.`);
  }
  try {
    return use(pointer);
  } finally {
    backend.wasm._free(pointer);
  }
}

/** Runs another kernel of the wasm backend by name. The caller disposes the result. */
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

/** Applies kernels in sequence, each to the output of the one before, and frees the intermediate outputs. */
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
