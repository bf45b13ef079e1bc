// File names with content hashes: scripts/build-page.js defines them.

/** The tab's Web Worker: session and socket. */
declare const TAB_WORKER_FILE: string;
/** The Web Worker of one engine. */
declare const ENGINE_WORKER_FILE: string;
/** Built .wasm files of tfjs, by the names under which tfjs loads them. */
declare const WASM_FILES: Readonly<Record<string, string>>;

// Modules of tfjs that are imported for what they register.
declare module '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
declare module '@tensorflow/tfjs-core/dist/register_all_gradients';
