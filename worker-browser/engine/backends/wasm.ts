import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { createEngine } from '../../../shared/engine/tf-engine.ts';
import { readFromHeap } from '../../../shared/kernels/wasm/read-from-heap.ts';
import { registerWasmKernels, wasmVersion } from '../../../shared/kernels/wasm/register.ts';
import type { OpenedBackend } from './opened-backend.ts';
import { startBackend, tf } from './tf.ts';

/** WebAssembly on one thread: several cores are used by several Web Workers (docs/decisions/0021-tab-engines.md). */
export async function openWasm(): Promise<OpenedBackend> {
  const paths = IS_SERVED
    ? Object.fromEntries(
        Object.entries(WASM_FILES).map(([name, file]) => [name, new URL(file, import.meta.url).href]),
      )
    : packagedFiles();
  // tfjs requires an entry for each of its builds; the threaded one is not loaded.
  setWasmPaths({
    'tfjs-backend-wasm-threaded-simd.wasm': '',
    ...paths,
  });
  setThreadsCount(1);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await startBackend('wasm');
  registerWasmKernels(tf);
  const cores = navigator.hardwareConcurrency;
  const device = cores > 1 ? `CPU with ${cores} cores` : 'CPU';
  const info = { backend: 'wasm', version: wasmVersion(tf), device, threads: 1 };
  return { engine: createEngine(tf, info, readFromHeap(tf)), onLost: () => undefined };
}

/** Addresses of the files in the package, as bundlers find them. */
const packagedFiles = (): Record<string, string> => ({
  'tfjs-backend-wasm.wasm': new URL('./tfjs-backend-wasm.wasm', import.meta.url).href,
  'tfjs-backend-wasm-simd.wasm': new URL('./tfjs-backend-wasm-simd.wasm', import.meta.url).href,
});
