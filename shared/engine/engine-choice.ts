/** `--engine`: the best that a machine has, or one by name. */
export type EngineChoice = 'auto' | 'native' | 'wasm';

/** `--install-native`: when native TensorFlow is installed during a run; `auto` is where the run gains time. */
export type InstallNative = 'auto' | 'always' | 'never';
