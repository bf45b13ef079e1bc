import type { Engine } from '../../shared/engine/engine.ts';
import { openWasmEngine } from '../../worker-node/engine/wasm.ts';

let opened: Promise<Engine> | undefined;

/** The wasm engine of this process, opened once. */
export function wasmEngine(): Promise<Engine> {
  opened ??= openWasmEngine();
  return opened;
}
