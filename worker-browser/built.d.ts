// scripts/build-page.js defines these.

/**
 * Whether the coordinator serves the files, whose names have content hashes; else they lie beside each other in the package, where
 * bundlers find them.
 */
declare const IS_SERVED: boolean;

/** Version of the package. */
declare const GRADCAST_VERSION: string;

/** The tab's Web Worker: session and socket. */
declare const TAB_WORKER_FILE: string;
/** The Web Worker of one engine. */
declare const ENGINE_WORKER_FILE: string;
/** Served .wasm files of tfjs, by the names under which tfjs loads them. */
declare const WASM_FILES: Readonly<Record<string, string>>;

// Modules of tfjs that are imported for what they register.
declare module '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
declare module '@tensorflow/tfjs-core/dist/register_all_gradients';
