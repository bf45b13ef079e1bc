import {
  type KernelFunc,
  type TensorInfo,
  type WasmBackend,
  kernelFunc,
  callKernel,
  pointerOf,
} from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { type ConvAttrs, convolutionInfo } from './conv-info.ts';
import { withExplicitPadding } from './same-padding.ts';
import type { SimdKernels } from './simd.ts';
import { winogradForward } from './winograd.ts';
import { sizeOf } from '../../model/layout.ts';

interface Conv2dInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
}

/**
 * Conv2D: x [batch, height, width, channels] by filter [filterHeight, filterWidth, channels, filters]. Winograd's algorithm
 * computes 3 x 3 taps with stride 1 in fewer products than tfjs' own kernel, which computes all other cases.
 */
export function conv2d(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  const general = withExplicitPadding(tf, stock, false);
  return kernelFunc<Conv2dInputs, ConvAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    const kernels = simd(backend);
    if (kernels !== null && inputs.x.dtype === 'float32') {
      const info = convolutionInfo(tf, inputs.x.shape, inputs.filter.shape, attrs);
      const out = winogradForward(kernels, backend, inputs.x, inputs.filter, info);
      if (out !== null) return out;
    }
    return general(call as unknown as Parameters<KernelFunc>[0]);
  });
}

interface FusedConv2dInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
  readonly bias?: TensorInfo;
}

interface FusedConv2dAttrs extends ConvAttrs {
  readonly activation: string;
}

/**
 * FusedConv2D: Conv2D, a bias [filters] and an activation, as tfjs' layers call it when they predict. Computed like Conv2D
 * without an activation or with ReLU; tfjs' own kernel computes all other cases.
 */
export function fusedConv2d(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  const general = withExplicitPadding(tf, stock, false);
  return kernelFunc<FusedConv2dInputs, FusedConv2dAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { x, filter, bias } = inputs;
    const kernels = simd(backend);
    const fallBack = () => general(call as unknown as Parameters<KernelFunc>[0]);
    if (kernels === null || !['linear', 'relu'].includes(attrs.activation)) return fallBack();
    const info = convolutionInfo(tf, x.shape, filter.shape, attrs);
    if (bias !== undefined && sizeOf(bias.shape) !== info.outChannels) return fallBack();
    const out = winogradForward(kernels, backend, x, filter, info);
    if (out === null) return fallBack();
    if (bias !== undefined) {
      const pointer = pointerOf(backend, out);
      const rows = sizeOf(out.shape) / info.outChannels;
      kernels.addBias(pointer, pointerOf(backend, bias), rows, info.outChannels, false);
    }
    if (attrs.activation === 'linear') return out;
    const activated = callKernel(tf, 'Relu', backend, { x: out });
    backend.disposeData(out.dataId);
    return activated;
  });
}
