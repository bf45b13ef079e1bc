import { sizeOf } from '../../model/layout.ts';
import { thresholdOf } from '../masks/dropout-masks.ts';
import {
  type KernelFunc,
  type TensorInfo,
  type WasmBackend,
  kernelFunc,
  pointerOf,
  withScratch,
} from './backend.ts';
import type { SimdKernels } from './simd.ts';

interface Inputs {
  readonly x: TensorInfo;
  /** As sampleKeys() computes them: [samples, 2] of int32. */
  readonly keys: TensorInfo;
}

interface Attrs {
  readonly layer: number;
  readonly rate: number;
}

/** KeyedDropout: x times a mask that is computed where it is used. */
export function dropout(simd: (backend: WasmBackend) => SimdKernels | null): KernelFunc {
  return kernelFunc<Inputs, Attrs>(({ inputs: { x, keys }, attrs: { layer, rate }, backend }) => {
    const kernels = simd(backend);
    if (kernels === null) throw new Error('Dropout as one op needs SIMD.');
    const out = backend.makeOutput([...x.shape], 'float32');
    const samples = keys.shape[0] ?? 0;
    if (samples === 0) return out;
    const { threshold, scale } = thresholdOf(rate);
    withScratch(backend, kernels.keyedDropoutScratchBytes(), (scratch) =>
      kernels.keyedDropout(
        pointerOf(backend, x),
        pointerOf(backend, keys),
        pointerOf(backend, out),
        samples,
        sizeOf(x.shape) / samples,
        layer,
        threshold,
        scale,
        scratch,
      ),
    );
    return out;
  });
}
