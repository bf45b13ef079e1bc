import type { backend_util } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { floatsOf, kernelFunc, pointerOf } from './backend.ts';
import type { ConvGradientAttrs, Shape4 } from './conv-info.ts';
import type { SimdKernels } from './simd.ts';

interface Inputs {
  readonly dy: TensorInfo;
  readonly input: TensorInfo;
  readonly output: TensorInfo;
}

interface Attrs extends Omit<ConvGradientAttrs, 'dataFormat'> {
  readonly filterSize: number | [number, number];
}

/**
 * MaxPoolGrad: dy and the pool's output, both [batch, outHeight, outWidth, channels], and its input [batch, height,
 * width, channels] to the gradient of the input. The first of a window's largest inputs gets all of its
 * gradient, as on tfjs' other backends. A plain loop computes it without SIMD, because tfjs' own kernel loses the gradient of
 * a window whose largest input is negative.
 */
export function maxPoolGrad(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  return kernelFunc<Inputs, Attrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { dy, input, output } = inputs;
    const kernels = simd(backend);
    if (input.dtype !== 'float32') return stock(call as unknown as Parameters<KernelFunc>[0]);
    const { filterSize, strides, pad, dimRoundingMode } = attrs;
    const info = tf.backend_util.computePool2DInfo(
      input.shape as Shape4,
      filterSize,
      strides,
      1,
      pad,
      dimRoundingMode,
    );
    const dx = backend.makeOutput([...input.shape], 'float32');
    if (kernels === null) {
      scalarGradient(
        floatsOf(backend, dy),
        floatsOf(backend, input),
        floatsOf(backend, output),
        floatsOf(backend, dx),
        info,
      );
      return dx;
    }
    kernels.maxPoolGradient(
      pointerOf(backend, dy),
      pointerOf(backend, input),
      pointerOf(backend, output),
      pointerOf(backend, dx),
      info.batchSize,
      info.inHeight,
      info.inWidth,
      info.inChannels,
      info.filterHeight,
      info.filterWidth,
      info.strideHeight,
      info.strideWidth,
      info.outHeight,
      info.outWidth,
      info.padInfo.top,
      info.padInfo.left,
    );
    return dx;
  });
}

function scalarGradient(
  dy: Float32Array,
  x: Float32Array,
  y: Float32Array,
  dx: Float32Array,
  info: backend_util.Conv2DInfo,
): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, strideHeight, strideWidth } = info;
  dx.fill(0);
  let out = 0;
  for (let n = 0; n < batchSize; n++) {
    for (let oy = 0; oy < outHeight; oy++) {
      const top = oy * strideHeight - info.padInfo.top;
      const bottom = Math.min(inHeight, top + info.filterHeight);
      for (let ox = 0; ox < outWidth; ox++) {
        const left = ox * strideWidth - info.padInfo.left;
        const right = Math.min(inWidth, left + info.filterWidth);
        for (let c = 0; c < inChannels; c++, out++) {
          const best = y[out] as number;
          search: for (let iy = Math.max(0, top); iy < bottom; iy++) {
            for (let ix = Math.max(0, left); ix < right; ix++) {
              const at = ((n * inHeight + iy) * inWidth + ix) * inChannels + c;
              if ((x[at] as number) !== best) continue;
              dx[at] = (dx[at] as number) + (dy[out] as number);
              break search;
            }
          }
        }
      }
    }
  }
}
