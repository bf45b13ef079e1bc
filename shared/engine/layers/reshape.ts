import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../model.ts';
import { stockLayer, type LayerClass } from './stock.ts';

interface StockReshape extends tfjs.layers.Layer {
  readonly targetShape: tfjs.Shape;
  /** @throws Error if the sizes do not go together, or more than one is open */
  fixUnknownDimension(inputShape: tfjs.Shape, outputShape: tfjs.Shape): tfjs.Shape;
}

/** Reshape that knows the size that it leaves open (-1): tfjs-layers hands null on, and most layers behind it need the number. */
export function reshapeLayer(tf: TF): LayerClass {
  return class Reshape extends stockLayer<StockReshape>(tf, 'Reshape') {
    static readonly className = 'Reshape';

    override computeOutputShape(inputShape: tfjs.Shape): tfjs.Shape {
      const [batch = null, ...sample] = inputShape;
      if (sample.includes(null)) return [batch, ...this.targetShape];
      return [batch, ...this.fixUnknownDimension(sample, this.targetShape)];
    }
  };
}
