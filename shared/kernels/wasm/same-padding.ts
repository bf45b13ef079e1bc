import type { KernelFunc, TensorInfo } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { kernelFunc } from './backend.ts';
import type { ConvAttrs, Shape4 } from './conv-info.ts';
import { sizeOf } from '../../model/layout.ts';

interface Inputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
}

/**
 * Wraps a convolution of tfjs' wasm backend (4.22). That kernel writes beyond an empty output, and computes a wrong padding
 * 'same' if the stride exceeds the filter and rows are left over (12 rows, a filter of 2, stride 3). The wrapper returns empty
 * outputs itself and passes padding 'same' as numbers.
 */
export function withExplicitPadding(tf: TF, stock: KernelFunc, depthwise: boolean): KernelFunc {
  return kernelFunc<Inputs, ConvAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    // tfjs' kernel reports that it does not support NCHW.
    if (attrs.dataFormat === 'NCHW') return run(stock, call);
    const info = tf.backend_util.computeConv2DInfo(
      inputs.x.shape as Shape4,
      inputs.filter.shape as Shape4,
      attrs.strides,
      attrs.dilations ?? 1,
      attrs.pad,
      attrs.dimRoundingMode,
      depthwise,
    );
    if (sizeOf(info.outShape) === 0) return backend.makeOutput([...info.outShape], 'float32');
    if (attrs.pad !== 'same') return run(stock, call);
    const { top, bottom, left, right } = info.padInfo;
    const pad = [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ];
    return run(stock, { ...call, attrs: { ...attrs, pad } });
  });
}

function run(stock: KernelFunc, call: object): TensorInfo {
  return stock(call as Parameters<KernelFunc>[0]) as TensorInfo;
}
