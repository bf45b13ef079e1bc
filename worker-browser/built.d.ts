// Names that scripts/build-page.js puts in, for the files bear hashes.

/** The Web Worker of the tab: session and socket. */
declare const TAB_WORKER_FILE: string;
/** The Web Worker of one engine. */
declare const ENGINE_WORKER_FILE: string;
/** tfjs' .wasm files by the names that tfjs knows them by. */
declare const WASM_FILES: Readonly<Record<string, string>>;

// Modules of tfjs that are imported for what they register.
declare module '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
declare module '@tensorflow/tfjs-core/dist/register_all_gradients';
