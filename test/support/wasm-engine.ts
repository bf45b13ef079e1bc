import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../shared/engine/engine.ts';
import { openWasmEngine } from '../../worker-node/engine/open/open-wasm.ts';

let opened: Promise<Engine> | undefined;

/** Opens the wasm engine of this process once, and activates it again if a coordinator has switched the backend. */
export async function wasmEngine(): Promise<Engine> {
  opened ??= openWasmEngine();
  const engine = await opened;
  await tf.setBackend('wasm');
  return engine;
}
