/** What is used here of what browsers and Node both have but the ES library's types have not. */
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

/** A module's bytes, as the build leaves them. */
export const decodeBase64 = (base64: string): Uint8Array =>
  Uint8Array.from(host.atob(base64), (char) => char.charCodeAt(0));

/**
 * Instantiates a module of ours, which imports its memory as env.memory.
 * @returns what it exports; null where there is no WebAssembly with SIMD, a page may not compile in place, or the memory is
 * none that the module takes
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
