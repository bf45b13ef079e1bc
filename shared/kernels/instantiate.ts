import { decodeBase64, host, instantiateWithMemory } from './module.ts';

const PAGE_BYTES = 65536;

/** Functions of a module, and the memory that it works on. */
export interface ModuleInstance {
  readonly exports: unknown;
  readonly buffer: ArrayBuffer;
}

/**
 * Instantiates a module of ours with a memory of its own, which never grows.
 * @param base64 the module's bytes
 * @param bytes that the memory has at least
 * @returns null where there is no WebAssembly with SIMD, no such memory, or none may be compiled
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
