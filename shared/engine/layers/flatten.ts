import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../model.ts';
import { stockLayer, type Config, type LayerClass } from './stock.ts';

/** Flatten also of what is flat already, [samples, values], as in Keras. */
export function flattenLayer(tf: TF): LayerClass {
  return class Flatten extends stockLayer<tfjs.layers.Layer>(tf, 'Flatten') {
    static readonly className = 'Flatten';

    constructor(config: Config) {
      super(config);
      this.inputSpec = [{ minNDim: 2 }];
    }
  };
}
