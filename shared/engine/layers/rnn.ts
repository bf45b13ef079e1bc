import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../model.ts';
import { stockLayer, type Config, type LayerClass } from './stock.ts';

type FromConfig = (cls: LayerClass, config: Config, customObjects?: object) => tfjs.layers.Layer;

/** RNN that can be built twice from one configuration, as Bidirectional does: tfjs-layers puts the built cell into it. */
export function rnnLayer(tf: TF): LayerClass {
  const Stock = stockLayer<tfjs.layers.Layer>(tf, 'RNN') as (new (config: Config) => tfjs.layers.Layer) & {
    readonly fromConfig: FromConfig;
  };
  return class RNN extends Stock {
    static readonly className = 'RNN';

    static override readonly fromConfig: FromConfig = (cls, config, customObjects) =>
      Stock.fromConfig(cls, { ...config }, customObjects);
  };
}
