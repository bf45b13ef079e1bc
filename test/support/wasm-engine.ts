import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../shared/engine/engine.ts';
import { openWasmEngine } from '../../worker-node/engine/tfjs/tfjs-engines.ts';

let opened: Promise<Engine> | undefined;

/** The wasm engine of this process, opened once; and active, whatever a coordinator in this process has used since. */
export async function wasmEngine(): Promise<Engine> {
  opened ??= openWasmEngine();
  const engine = await opened;
  await tf.setBackend('wasm');
  return engine;
}
