/** Values of `--engine`. */
export const ENGINE_CHOICES = ['auto', 'native', 'wasm', 'webgpu'] as const;

/**
 * Value of `--engine`: `auto` for the best engine of a machine, `native` for native TensorFlow (with CUDA if that is installed), `wasm` for
 * WebAssembly, `webgpu` for a GPU of any vendor, also for a processor in place of one.
 * @example
 * const engine: EngineChoice = 'webgpu';
 */
export type EngineChoice = (typeof ENGINE_CHOICES)[number];
