import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '@tensorflow/tfjs';
import type { Native } from './backend.ts';
import { outputName, type Capture } from './capture.ts';
import { makeGraphFolder } from './graph-folders.ts';
import { NativeTensors } from './held-tensors.ts';

/** A captured computation in a TensorFlow session, where it is optimized as a whole and runs in one call. */
export class CapturedGraph {
  readonly #native: Native;
  readonly #session: number;
  readonly #inputs: string;
  readonly #outputs: string;
  #disposed = false;

  /** @throws Error if TensorFlow does not take the graph */
  constructor(native: Native, { savedModel, inputs, outputs }: Capture) {
    this.#native = native;
    this.#inputs = inputs.map((name) => `${name}:0`).join();
    this.#outputs = Array.from({ length: outputs }, (_, i) => `${outputName(i)}:0`).join();
    // The addon loads graphs from folders only.
    const folder = makeGraphFolder();
    try {
      writeFileSync(join(folder, 'saved_model.pb'), savedModel);
      this.#session = native.backend.binding.loadSavedModel(folder, 'serve');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /**
   * @param inputs in the order in which they were named
   * @param more handles of inputs, behind these
   * @returns the outputs in their order, the caller's to dispose
   */
  run(inputs: readonly Tensor[], more: readonly number[] = []): NativeTensors {
    const { backend } = this.#native;
    const { binding } = backend;
    const ids = [...backend.getInputTensorIds(inputs), ...more];
    return new NativeTensors(binding, binding.runSavedModel(this.#session, ids, this.#inputs, this.#outputs));
  }

  /** Gives the session and its graph back. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#native.backend.binding.deleteSavedModel(this.#session);
  }
}
