import type { backend_util } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { floatsOf, kernelFunc } from './backend.ts';

// tfjs' own kernels are wrong: pools start from the smallest positive float, which is more than negative values, the gradient of a
// convolution's input depends on memory that nothing has written, and that of its filter misses the last windows of a stride above
// 1. These are plain loops over the backend's memory, correct for every shape, at JavaScript's speed.

type Shape5 = [number, number, number, number, number];

interface Attrs {
  readonly filterSize: number | [number, number, number];
  readonly strides: number | [number, number, number];
  readonly pad: 'valid' | 'same' | number;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
  readonly dataFormat?: 'NDHWC' | 'NCDHW';
}

interface ForwardInputs {
  readonly x: TensorInfo;
}

interface GradientInputs {
  readonly dy: TensorInfo;
  readonly input: TensorInfo;
}

/** MaxPool3D: x [batch, depth, height, width, channels] to the largest value of each window. */
export function maxPool3d(tf: TF): KernelFunc {
  return kernelFunc<ForwardInputs, Attrs>(({ inputs, attrs, backend }) => {
    const info = infoOf(tf, inputs.x.shape, attrs);
    const out = backend.makeOutput([...info.outShape], 'float32');
    const x = floatsOf(backend, inputs.x);
    const y = floatsOf(backend, out);
    forEachWindow(info, x, (at, best) => (y[at] = x[best] as number));
    return out;
  });
}

/** MaxPool3DGrad: the first of the largest inputs of a window gets all of its gradient dy. */
export function maxPool3dGrad(tf: TF): KernelFunc {
  return kernelFunc<GradientInputs, Attrs>(({ inputs, attrs, backend }) => {
    const info = infoOf(tf, inputs.input.shape, attrs);
    const out = backend.makeOutput([...inputs.input.shape], 'float32');
    const dy = floatsOf(backend, inputs.dy);
    const dx = floatsOf(backend, out).fill(0);
    forEachWindow(info, floatsOf(backend, inputs.input), (at, best) => {
      dx[best] = (dx[best] as number) + (dy[at] as number);
    });
    return out;
  });
}

function infoOf(tf: TF, inputShape: number[], attrs: Attrs): backend_util.Conv3DInfo {
  const { filterSize, strides, pad, dimRoundingMode, dataFormat } = attrs;
  return tf.backend_util.computePool3DInfo(
    inputShape as Shape5,
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
    dataFormat,
  );
}

/** Calls back for each output with its offset and the offset of the first of its window's largest inputs. */
function forEachWindow(
  info: backend_util.Conv3DInfo,
  x: Float32Array,
  use: (at: number, best: number) => void,
): void {
  const { batchSize, inDepth, inHeight, inWidth, inChannels, outDepth, outHeight, outWidth, padInfo } = info;
  let at = 0;
  for (let n = 0; n < batchSize; n++) {
    for (let oz = 0; oz < outDepth; oz++) {
      const front = oz * info.strideDepth - padInfo.front;
      for (let oy = 0; oy < outHeight; oy++) {
        const top = oy * info.strideHeight - padInfo.top;
        for (let ox = 0; ox < outWidth; ox++) {
          const left = ox * info.strideWidth - padInfo.left;
          for (let c = 0; c < inChannels; c++, at++) {
            let best = -1;
            for (let z = Math.max(0, front); z < Math.min(inDepth, front + info.filterDepth); z++) {
              for (let y = Math.max(0, top); y < Math.min(inHeight, top + info.filterHeight); y++) {
                for (let w = Math.max(0, left); w < Math.min(inWidth, left + info.filterWidth); w++) {
                  const from = (((n * inDepth + z) * inHeight + y) * inWidth + w) * inChannels + c;
                  if (best < 0 || (x[from] as number) > (x[best] as number)) best = from;
                }
              }
            }
            if (best >= 0) use(at, best);
          }
        }
      }
    }
  }
}

interface InputGradientInputs {
  readonly dy: TensorInfo;
  readonly filter: TensorInfo;
}

interface FilterGradientInputs {
  readonly dy: TensorInfo;
  readonly x: TensorInfo;
}

interface ConvolutionAttrs {
  readonly pad: 'valid' | 'same';
  readonly strides: number | [number, number, number];
}

interface InputGradientAttrs extends ConvolutionAttrs {
  readonly inputShape: Shape5;
}

interface FilterGradientAttrs extends ConvolutionAttrs {
  readonly filterShape: Shape5;
}

/** Conv3DBackpropInputV2: gradient of a convolution's input [batch, depth, height, width, channels]. */
export function conv3dBackpropInput(tf: TF): KernelFunc {
  return kernelFunc<InputGradientInputs, InputGradientAttrs>(({ inputs, attrs, backend }) => {
    const { strides, pad, inputShape } = attrs;
    const filterShape = inputs.filter.shape as Shape5;
    const info = tf.backend_util.computeConv3DInfo(inputShape, filterShape, strides, 1, pad);
    const out = backend.makeOutput([...inputShape], 'float32');
    const dx = floatsOf(backend, out).fill(0);
    const dy = floatsOf(backend, inputs.dy);
    const filter = floatsOf(backend, inputs.filter);
    const { inChannels, outChannels } = info;
    forEachTap(info, (from, to, tap) => {
      for (let channel = 0; channel < inChannels; channel++) {
        const weights = (tap * inChannels + channel) * outChannels;
        let sum = 0;
        for (let o = 0; o < outChannels; o++)
          sum += (dy[from + o] as number) * (filter[weights + o] as number);
        dx[to + channel] = (dx[to + channel] as number) + sum;
      }
    });
    return out;
  });
}

/**
 * Conv3DBackpropFilterV2: gradient of a convolution's filter [depth, height, width, channels, filters]. With strides of 1, tfjs' own
 * kernel computes it.
 */
export function conv3dBackpropFilter(tf: TF, stock: KernelFunc): KernelFunc {
  return kernelFunc<FilterGradientInputs, FilterGradientAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { strides, pad, filterShape } = attrs;
    if ([strides].flat().every((stride) => stride === 1))
      return stock(call as unknown as Parameters<KernelFunc>[0]);
    const info = tf.backend_util.computeConv3DInfo(inputs.x.shape as Shape5, filterShape, strides, 1, pad);
    const out = backend.makeOutput([...filterShape], 'float32');
    const dw = floatsOf(backend, out);
    const dy = floatsOf(backend, inputs.dy);
    const x = floatsOf(backend, inputs.x);
    const { inChannels, outChannels } = info;
    // A weight sums over all outputs, more than float32 adds exactly.
    const sums = new Float64Array(dw.length);
    forEachTap(info, (from, to, tap) => {
      for (let channel = 0; channel < inChannels; channel++) {
        const weights = (tap * inChannels + channel) * outChannels;
        const value = x[to + channel] as number;
        for (let o = 0; o < outChannels; o++)
          sums[weights + o] = (sums[weights + o] as number) + value * (dy[from + o] as number);
      }
    });
    dw.set(sums);
    return out;
  });
}

/**
 * Calls back for each output and each of the filter's taps that meets the input there: with the offset of the output's first filter,
 * that of the input's first channel, and the number of the tap.
 */
function forEachTap(
  info: backend_util.Conv3DInfo,
  use: (output: number, input: number, tap: number) => void,
): void {
  const { inDepth, inHeight, inWidth, inChannels, outChannels } = info;
  const { front, top, left } = info.padInfo;
  let output = 0;
  for (let batch = 0; batch < info.batchSize; batch++)
    for (let z = 0; z < info.outDepth; z++)
      for (let y = 0; y < info.outHeight; y++)
        for (let x = 0; x < info.outWidth; x++, output += outChannels)
          for (let tap = 0; tap < info.filterDepth * info.filterHeight * info.filterWidth; tap++) {
            const column = tap % info.filterWidth;
            const row = Math.floor(tap / info.filterWidth) % info.filterHeight;
            const plane = Math.floor(tap / info.filterWidth / info.filterHeight);
            const inZ = z * info.strideDepth - front + plane;
            const inY = y * info.strideHeight - top + row;
            const inX = x * info.strideWidth - left + column;
            const isInside =
              inZ >= 0 && inZ < inDepth && inY >= 0 && inY < inHeight && inX >= 0 && inX < inWidth;
            if (isInside)
              use(output, (((batch * inDepth + inZ) * inHeight + inY) * inWidth + inX) * inChannels, tap);
          }
}
