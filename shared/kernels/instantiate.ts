import { decodeBase64, host, instantiateWithMemory } from './module.ts';

const PAGE_BYTES = 65536;

/** Exports of an instantiated module and the memory that it works on. */
export interface ModuleInstance {
  readonly exports: unknown;
  readonly buffer: ArrayBuffer;
}

/**
 * Instantiates a module with its own memory, which never grows.
 * @param base64 the module's bytes
 * @param bytes minimum size of the memory
 * @returns null if the platform has no WebAssembly with SIMD, not enough memory, or forbids compilation
 */
export function instantiate(base64: string, bytes: number): ModuleInstance | null {
  const memory = createMemory(Math.ceil(bytes / PAGE_BYTES));
  if (memory === null) return null;
  const exports = instantiateWithMemory(memory, decodeBase64(base64));
  return exports === null ? null : { exports, buffer: memory.buffer };
}

function createMemory(pages: number): { readonly buffer: ArrayBuffer } | null {
  if (host.WebAssembly === undefined) return null;
  try {
    return new host.WebAssembly.Memory({ initial: pages, maximum: 65536 });
  } catch {
    return null;
  }
}
