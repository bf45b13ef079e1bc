/** What is compiled: a folder of .as files, the one to start from, and the file that holds the bytes. */
export interface KernelModule {
  readonly folder: URL;
  readonly entry: string;
  readonly bytesFile: URL;
  readonly name: string;
}
export const modules: readonly KernelModule[];
/** The bytes of a compiled module. Throws with the compiler's messages where the source does not compile. */
export function compile(module: KernelModule): Promise<Uint8Array>;
/** The text of the file that holds a module's bytes. */
export function bytesModule(module: KernelModule, bytes: Uint8Array): string;
