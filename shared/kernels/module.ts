/** Globals of browsers and Node that the types of the ES library do not declare. */
interface Host {
  atob(base64: string): string;
  readonly SharedArrayBuffer?: new () => object;
  readonly WebAssembly?: {
    readonly Memory: new (descriptor: { initial: number; maximum: number }) => {
      readonly buffer: ArrayBuffer;
    };
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
    validate(bytes: Uint8Array): boolean;
  };
}

export const host = globalThis as unknown as Host;

/** Bytes of a module from the text that scripts/build-kernels.js writes. */
export const decodeBase64 = (base64: string): Uint8Array =>
  Uint8Array.from(host.atob(base64), (char) => char.charCodeAt(0));

/**
 * Instantiates a module that imports its memory as env.memory.
 * @returns the exports; null if the platform has no WebAssembly with SIMD, forbids synchronous compilation, or the memory
 *   does not match the module's import
 */
export function instantiateWithMemory(memory: object, module: Uint8Array): unknown {
  const api = host.WebAssembly;
  if (api?.validate(module) !== true) return null;
  try {
    return new api.Instance(new api.Module(module), { env: { memory } }).exports;
  } catch {
    return null;
  }
}
