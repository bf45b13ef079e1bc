import type { GradConfig, Tensor } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { thresholdOf } from '../masks/dropout-masks.ts';
import { callKernel, kernelFunc, pointerOf, withScratch } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import { RELU_GRAD } from '../fused-ops.ts';
import type { SimdKernels } from './simd.ts';

interface Inputs {
  readonly dy: TensorInfo;
  readonly x: TensorInfo;
}

/**
 * ReluGrad: dy where x > 0, else 0; any shape. tfjs computes it with Step, Cast and Multiply. As in TensorFlow, 0 where x is NaN (NaN in tfjs' own gradient; the loss is
 * NaN in both cases). Step and Multiply without SIMD, as in tfjs' own gradient.
 */
export function reluGrad(tf: TF, simd: (backend: WasmBackend) => SimdKernels | null): KernelFunc {
  return kernelFunc<Inputs, object>(({ inputs, backend }) => {
    const { dy, x } = inputs;
    const kernels = simd(backend);
    if (kernels !== null) {
      const out = backend.makeOutput([...x.shape], 'float32');
      kernels.reluGradient(
        pointerOf(backend, dy),
        pointerOf(backend, x),
        pointerOf(backend, out),
        sizeOf(x.shape),
      );
      return out;
    }
    const step = callKernel(tf, 'Step', backend, { x }, { alpha: 0 });
    const product = callKernel(tf, 'Multiply', backend, { a: dy, b: step });
    backend.disposeData(step.dataId);
    return product;
  });
}

/** Gradient of Relu: one ReluGrad for float32 on the wasm backend, tfjs' own gradient in all other cases. */
export function reluGradient(tf: TF, stock: GradConfig): GradConfig {
  return {
    kernelName: 'Relu',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attrs) => {
      const [x] = saved as [Tensor];
      const covered = tf.engine().backendName === 'wasm' && x.dtype === 'float32' && !Array.isArray(dy);
      if (!covered) return stock.gradFunc(dy, saved, attrs);
      return { x: () => tf.engine().runKernel<Tensor>(RELU_GRAD, { dy, x }) };
    },
  };
}

/** Gradient of ReluGrad, for second derivatives. */
export function reluGradGradient(tf: TF): GradConfig {
  return {
    kernelName: RELU_GRAD,
    inputsToSave: ['x'],
    gradFunc: (ddx, saved) => {
      const [x] = saved as [Tensor];
      return {
        dy: () => tf.engine().runKernel<Tensor>(RELU_GRAD, { dy: ddx as Tensor, x }),
        x: () => tf.zerosLike(x),
      };
    },
  };
}

interface DropoutInputs {
  readonly x: TensorInfo;
  /** As sampleKeys() computes them: [samples, 2] of int32. */
  readonly keys: TensorInfo;
}

interface DropoutAttrs {
  readonly layer: number;
  readonly rate: number;
}

/** KeyedDropout: x times a mask that is computed where it is used. */
export function dropout(simd: (backend: WasmBackend) => SimdKernels | null): KernelFunc {
  return kernelFunc<DropoutInputs, DropoutAttrs>(
    ({ inputs: { x, keys }, attrs: { layer, rate }, backend }) => {
      const kernels = simd(backend);
      if (kernels === null) throw new Error('Dropout as one op needs SIMD.');
      const samples = keys.shape[0] ?? 0;
      if (samples === 0) return backend.makeOutput([...x.shape], 'float32');
      const { threshold, scale } = thresholdOf(rate);
      return withScratch(backend, kernels.keyedDropoutScratchBytes(), (scratch) => {
        const out = backend.makeOutput([...x.shape], 'float32');
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
        );
        return out;
      });
    },
  );
}
