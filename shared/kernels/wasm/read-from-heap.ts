import type * as TF from '@tensorflow/tfjs';
import { floatsOf, type Tf, type WasmBackend } from './backend.ts';

/** Reads a float32 tensor straight out of the backend's memory, where tensor.data() makes a copy first. */
export function readFromHeap(tf: Tf): (tensor: TF.Tensor, target: Float32Array) => Promise<void> {
  return (tensor, target) => {
    target.set(floatsOf(tf.backend() as unknown as WasmBackend, tensor));
    return Promise.resolve();
  };
}
