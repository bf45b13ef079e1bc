import type { Engine } from '../../shared/engine/engine.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { openNativeEngine } from './native/open-native.ts';
import { openWasmEngine } from './tfjs/tfjs-engines.ts';

export interface ChosenEngine {
  readonly engine: Engine;
  /** Why no better engine was taken. */
  readonly why: string;
}

/**
 * Opens the best engine of this machine: native TensorFlow on a GPU, on the CPU, else WebAssembly.
 * @param note receives the lines that the engine logs
 * @throws Error with a sentence if the requested engine cannot be opened
 */
export async function chooseEngine(
  choice: EngineChoice,
  note: (line: string) => void = () => undefined,
): Promise<ChosenEngine> {
  if (choice === 'wasm') return { engine: await openWasmEngine(), why: 'asked for' };
  const native = await openNativeEngine({ note });
  if ('engine' in native) return { engine: native.engine, why: 'the fastest here' };
  if (choice === 'native') {
    throw new Error(`No native TensorFlow here: ${native.missing}. Use --engine wasm, which needs nothing.`);
  }
  return { engine: await openWasmEngine(), why: `no native TensorFlow here: ${native.missing}` };
}
