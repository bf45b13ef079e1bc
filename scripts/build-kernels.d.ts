/** Sources of one WebAssembly module: a folder of .as files, its entry, and the file that holds the compiled bytes. */
export interface KernelModule {
  readonly folder: URL;
  readonly entry: string;
  readonly bytesFile: URL;
  readonly name: string;
}
export const modules: readonly KernelModule[];
/** Compiles a module. @throws Error with the compiler's messages */
export function compile(module: KernelModule): Promise<Uint8Array>;
/** Text of the .ts file that holds a module's bytes. */
export function bytesModule(module: KernelModule, bytes: Uint8Array): string;
