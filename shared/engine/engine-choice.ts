/** Value of `--engine`: the best engine of a machine, or one by name. */
export type EngineChoice = 'auto' | 'native' | 'wasm' | 'webgpu';

/** Value of `--install-native`: when a run installs native TensorFlow; `auto` installs it if the run gains time. */
export type InstallNative = 'auto' | 'always' | 'never';
