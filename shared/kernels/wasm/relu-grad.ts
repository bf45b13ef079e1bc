import type { GradConfig, Tensor } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { callKernel, kernelFunc, pointerOf } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import type { SimdKernels } from './simd.ts';

/** The kernel's name, as TensorFlow's; tfjs has none of it and builds the gradient from Step, Cast and Multiply. */
export const RELU_GRAD = 'ReluGrad';

interface Inputs {
  readonly dy: TensorInfo;
  readonly x: TensorInfo;
}

/**
 * ReluGrad: dy where x > 0, else 0; any shape. As in TensorFlow, 0 where x is NaN (tfjs' own gradient says NaN; the
 * loss is NaN all the same). Without SIMD: Step and Multiply, as tfjs' own.
 */
export function reluGrad(tf: TF, simd: (backend: WasmBackend) => SimdKernels | null): KernelFunc {
  return kernelFunc<Inputs, object>(({ inputs, backend }) => {
    const { dy, x } = inputs;
    const kernels = simd(backend);
    if (kernels !== null) {
      const out = backend.makeOutput([...x.shape], 'float32');
      const [dyStart, xStart, outStart] = [dy, x, out].map((info) => pointerOf(backend, info)) as [
        number,
        number,
        number,
      ];
      kernels.reluGradient(dyStart, xStart, outStart, sizeOf(x.shape));
      return out;
    }
    const step = callKernel(tf, 'Step', backend, { x }, { alpha: 0 });
    const product = callKernel(tf, 'Multiply', backend, { a: dy, b: step });
    backend.disposeData(step.dataId);
    return product;
  });
}

/** The gradient of Relu: one ReluGrad on the wasm backend for float32, tfjs' own everywhere else. */
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

/** The gradient of ReluGrad, for gradients of gradients. */
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
