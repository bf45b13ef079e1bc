import type { KernelFunc, TensorInfo, Tf, WasmBackend } from './backend.ts';
import { kernelFunc } from './backend.ts';
import type { ConvAttrs } from './conv-info.ts';
import { convolutionInfo } from './conv-info.ts';
import { withExplicitPadding } from './same-padding.ts';
import type { SimdKernels } from './simd.ts';
import { winogradForward } from './winograd.ts';

interface Conv2dInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
}

/**
 * Conv2D: x [batch, height, width, channels] by filter [filterHeight, filterWidth, channels, filters]. 3 x 3 taps
 * with stride 1 by Winograd's tiles, which ask for fewer products than tfjs' own; everything else goes there.
 */
export function conv2d(
  tf: Tf,
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
