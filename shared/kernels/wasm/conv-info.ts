import type { backend_util } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';

/** Attributes of Conv2DBackpropFilter and Conv2DBackpropInput, as tfjs-core 4.22 passes them. */
export interface ConvGradientAttrs {
  readonly strides: number | [number, number];
  readonly pad: 'valid' | 'same' | number | backend_util.ExplicitPadding;
  readonly dataFormat: 'NHWC' | 'NCHW';
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** Attributes of the forward convolutions. */
export interface ConvAttrs extends ConvGradientAttrs {
  /** tfjs' layers pass null for 1. */
  readonly dilations: number | [number, number] | null;
}

export type Shape4 = [number, number, number, number];

/** Sizes, strides and padding of a convolution (NHWC), from the attributes of its gradient kernel. */
export function convInfoOf(
  tf: TF,
  inputShape: number[],
  filterShape: number[],
  attrs: ConvGradientAttrs,
): backend_util.Conv2DInfo {
  const { strides, pad, dimRoundingMode } = attrs;
  return tf.backend_util.computeConv2DInfo(
    inputShape as Shape4,
    filterShape as Shape4,
    strides,
    1,
    pad,
    dimRoundingMode,
    false,
    'channelsLast',
  );
}

/** Sizes, strides and padding of a convolution, from the attributes of its forward kernel. */
export function convolutionInfo(
  tf: TF,
  inputShape: number[],
  filterShape: number[],
  attrs: ConvAttrs,
): backend_util.Conv2DInfo {
  const { strides, dilations, pad, dimRoundingMode, dataFormat } = attrs;
  return tf.backend_util.computeConv2DInfo(
    inputShape as Shape4,
    filterShape as Shape4,
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    false,
    tf.backend_util.convertConv2DDataFormat(dataFormat),
  );
}

export const toChannelsLast = [0, 2, 3, 1];

/** Sizes of a convolution of images with the channels last. */
export type ConvolutionInfo = Pick<
  backend_util.Conv2DInfo,
  | 'batchSize'
  | 'dataFormat'
  | 'dilationHeight'
  | 'dilationWidth'
  | 'filterHeight'
  | 'filterShape'
  | 'filterWidth'
  | 'inChannels'
  | 'inHeight'
  | 'inShape'
  | 'inWidth'
  | 'outChannels'
  | 'outHeight'
  | 'outShape'
  | 'outWidth'
  | 'strideHeight'
  | 'strideWidth'
> & { readonly padInfo: Pick<backend_util.PadInfo, 'top' | 'left'> };
