/** What is used here of what browsers and Node both have but the ES library's types have not. */
interface Host {
  atob(base64: string): string;
  readonly WebAssembly?: {
    readonly Memory: new (descriptor: { initial: number; maximum: number }) => {
      readonly buffer: ArrayBuffer;
    };
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
    validate(bytes: Uint8Array): boolean;
  };
}

const PAGE_BYTES = 65536;

/** Functions of a module, and the memory that it works on. */
export interface OwnMemory {
  readonly exports: unknown;
  readonly buffer: ArrayBuffer;
}

/**
 * Instantiates a module of ours with a memory of its own, which never grows.
 * @param base64 the module's bytes; it imports its memory as env.memory
 * @param bytes that the memory has at least
 * @returns null where there is no WebAssembly with SIMD, or none may be compiled
 */
export function instantiate(base64: string, bytes: number): OwnMemory | null {
  const host = globalThis as unknown as Host;
  const api = host.WebAssembly;
  if (api === undefined) return null;
  const code = Uint8Array.from(host.atob(base64), (char) => char.charCodeAt(0));
  if (!api.validate(code)) return null;
  try {
    const memory = new api.Memory({ initial: Math.ceil(bytes / PAGE_BYTES), maximum: 65536 });
    const { exports } = new api.Instance(new api.Module(code), { env: { memory } });
    return { exports, buffer: memory.buffer };
  } catch {
    // A page that may not compile in place.
    return null;
  }
}
