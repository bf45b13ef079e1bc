import type * as TF from '@tensorflow/tfjs';
import { floatsOf, type Tf, type WasmBackend } from './backend.ts';

/** Reads float32 tensors straight out of the backend's memory, where tensor.data() makes a copy first. */
export function readFromHeap(tf: Tf): {
  read(tensor: TF.Tensor, target: Float32Array): Promise<void>;
  readSync(tensor: TF.Tensor, target: Float32Array): void;
} {
  const readSync = (tensor: TF.Tensor, target: Float32Array): void =>
    target.set(floatsOf(tf.backend() as unknown as WasmBackend, tensor));
  return {
    readSync,
    read(tensor, target) {
      readSync(tensor, target);
      return Promise.resolve();
    },
  };
}
