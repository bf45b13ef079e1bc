import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  singleInput,
  stockLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type Weight,
} from './stock.ts';

interface StockConvolution extends tfjs.layers.Layer {
  padding: string;
  readonly dataFormat: string;
  readonly kernelSize: readonly number[];
  readonly strides: readonly number[];
  readonly dilationRate: number | readonly number[];
  readonly kernel: Weight;
  readonly bias: Weight | null;
  readonly activation: { apply(x: tfjs.Tensor): tfjs.Tensor } | null;
}

/**
 * Conv1D that also computes padding 'causal', which tfjs-layers accepts but does not compute: zeros before the first step, so
 * that no output depends on later steps.
 */
export function conv1dLayer(tf: TF): LayerClass {
  return class Conv1D extends stockLayer<StockConvolution>(tf, 'Conv1D') {
    static readonly className = 'Conv1D';

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      if (this.padding !== 'causal') return super.call(inputs, kwargs);
      const [size = 1] = this.kernelSize;
      const [dilation = 1] = [this.dilationRate].flat();
      return tf.tidy(() => {
        const padded = tf.pad(singleInput(inputs), [
          [0, 0],
          [dilation * (size - 1), 0],
          [0, 0],
        ]);
        return this.withPadding('valid', () => super.call(padded, kwargs));
      });
    }

    override computeOutputShape(inputShape: tfjs.Shape): tfjs.Shape | tfjs.Shape[] {
      if (this.padding !== 'causal') return super.computeOutputShape(inputShape);
      return this.withPadding('same', () => super.computeOutputShape(inputShape));
    }

    private withPadding<T>(padding: string, run: () => T): T {
      this.padding = padding;
      try {
        return run();
      } finally {
        this.padding = 'causal';
      }
    }
  };
}

/** Conv2D that computes dilations in ops with a gradient; tfjs' fused op has no gradient with dilations. */
export function conv2dLayer(tf: TF): LayerClass {
  return class Conv2D extends stockLayer<StockConvolution>(tf, 'Conv2D') {
    static readonly className = 'Conv2D';

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const [high = 1, wide = high] = [this.dilationRate].flat();
      if (high === 1 && wide === 1) return super.call(inputs, kwargs);
      const channelsFirst = this.dataFormat === 'channelsFirst';
      return tf.tidy(() => {
        const input = singleInput(inputs);
        const product = tf.conv2d(
          (channelsFirst ? tf.transpose(input, [0, 2, 3, 1]) : input) as tfjs.Tensor4D,
          this.kernel.read() as tfjs.Tensor4D,
          this.strides as [number, number],
          this.padding as 'valid' | 'same',
          'NHWC',
          [high, wide],
        );
        const biased = this.bias === null ? product : tf.add(product, this.bias.read());
        const output = channelsFirst ? tf.transpose(biased, [0, 3, 1, 2]) : biased;
        return this.activation === null ? output : this.activation.apply(output);
      });
    }
  };
}
