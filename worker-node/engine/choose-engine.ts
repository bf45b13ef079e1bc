import type { Engine } from '../../shared/engine/engine.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { openNativeEngine } from './native/open-native.ts';
import { openWasmEngine } from './tfjs/tfjs-engines.ts';

/** An engine, and why no better one was taken. */
export interface ChosenEngine {
  readonly engine: Engine;
  readonly why: string;
}

/**
 * The best engine that this machine has: native TensorFlow on a GPU, on the CPU, else WebAssembly.
 * @param note hears what an engine has to say while it computes
 * @throws Error with a sentence if the one that was asked for is not there
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
