import type { backend_util } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { floatsOf, kernelFunc } from './backend.ts';
import type { ConvGradientAttrs, Shape4 } from './conv-info.ts';

// tfjs' wasm backend lacks both gradients of a depthwise convolution. These are plain loops over its memory, correct for
// every shape, at JavaScript's speed.

interface Attrs extends Omit<ConvGradientAttrs, 'dataFormat'> {
  /** tfjs' layers pass null for 1. */
  readonly dilations: number | [number, number] | null;
}

/** x [batch, height, width, channels], dy [batch, outHeight, outWidth, channels * multiplier]. */
interface FilterInputs {
  readonly x: TensorInfo;
  readonly dy: TensorInfo;
}

/** dy as above, filter [filterHeight, filterWidth, channels, multiplier]. */
interface InputInputs {
  readonly dy: TensorInfo;
  readonly filter: TensorInfo;
}

/** DepthwiseConv2dNativeBackpropFilter: the gradient of the filter, summed in float64. */
export function depthwiseBackpropFilter(tf: TF): KernelFunc {
  return kernelFunc<FilterInputs, Attrs & { readonly filterShape: number[] }>(
    ({ inputs, attrs, backend }) => {
      const info = infoOf(tf, inputs.x.shape, attrs.filterShape, attrs);
      const out = backend.makeOutput([...attrs.filterShape], 'float32');
      const x = floatsOf(backend, inputs.x);
      const dy = floatsOf(backend, inputs.dy);
      const { inChannels, outChannels } = info;
      const multiplier = outChannels / inChannels;
      const sums = new Float64Array(info.filterHeight * info.filterWidth * outChannels);
      forEachTap(info, (xAt, dyAt, tap) => {
        let at = tap * outChannels;
        for (let c = 0; c < inChannels; c++) {
          const value = x[xAt + c] as number;
          for (let q = 0; q < multiplier; q++, at++) {
            sums[at] = (sums[at] as number) + value * (dy[dyAt + c * multiplier + q] as number);
          }
        }
      });
      floatsOf(backend, out).set(sums);
      return out;
    },
  );
}

/** DepthwiseConv2dNativeBackpropInput: the gradient of the input. */
export function depthwiseBackpropInput(tf: TF): KernelFunc {
  return kernelFunc<InputInputs, Attrs & { readonly inputShape: number[] }>(({ inputs, attrs, backend }) => {
    const info = infoOf(tf, attrs.inputShape, inputs.filter.shape, attrs);
    const out = backend.makeOutput([...info.inShape], 'float32');
    const dx = floatsOf(backend, out).fill(0);
    const dy = floatsOf(backend, inputs.dy);
    const filter = floatsOf(backend, inputs.filter);
    const { inChannels, outChannels } = info;
    const multiplier = outChannels / inChannels;
    forEachTap(info, (xAt, dyAt, tap) => {
      let at = tap * outChannels;
      for (let c = 0; c < inChannels; c++) {
        let sum = dx[xAt + c] as number;
        for (let q = 0; q < multiplier; q++, at++) {
          sum += (filter[at] as number) * (dy[dyAt + c * multiplier + q] as number);
        }
        dx[xAt + c] = sum;
      }
    });
    return out;
  });
}

function infoOf(
  tf: TF,
  inputShape: number[],
  filterShape: number[],
  { strides, dilations, pad, dimRoundingMode }: Attrs,
): backend_util.Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(
    inputShape as Shape4,
    filterShape as Shape4,
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    true,
  );
}

/** Calls back for every output pixel and every tap within the image, with the offsets of their first channels. */
function forEachTap(
  info: backend_util.Conv2DInfo,
  use: (xAt: number, dyAt: number, tap: number) => void,
): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels } = info;
  for (let n = 0; n < batchSize; n++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        const dyAt = ((n * outHeight + oy) * outWidth + ox) * outChannels;
        for (let ky = 0; ky < info.filterHeight; ky++) {
          const y = oy * info.strideHeight + ky * info.dilationHeight - info.padInfo.top;
          if (y < 0 || y >= inHeight) continue;
          for (let kx = 0; kx < info.filterWidth; kx++) {
            const x = ox * info.strideWidth + kx * info.dilationWidth - info.padInfo.left;
            if (x < 0 || x >= inWidth) continue;
            use(((n * inHeight + y) * inWidth + x) * inChannels, dyAt, ky * info.filterWidth + kx);
          }
        }
      }
    }
  }
}
