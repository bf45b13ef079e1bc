import type * as tfjs from '@tensorflow/tfjs';
import { floatsOf, type WasmBackend } from './backend.ts';
import type { TF } from '../../util/tf.ts';

/** Reads float32 tensors from the backend's memory without the copy that tensor.data() makes. */
export function readFromHeap(tf: TF): {
  read(tensor: tfjs.Tensor, target: Float32Array): Promise<void>;
  readSync(tensor: tfjs.Tensor, target: Float32Array): void;
} {
  const readSync = (tensor: tfjs.Tensor, target: Float32Array): void =>
    target.set(floatsOf(tf.backend() as unknown as WasmBackend, tensor));
  return {
    readSync,
    read(tensor, target) {
      readSync(tensor, target);
      return Promise.resolve();
    },
  };
}
