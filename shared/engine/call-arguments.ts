import type * as tfjs from '@tensorflow/tfjs';
import type { CallArguments } from './layers/stock.ts';

/** A place in a model where a layer is called. */
interface CallSite {
  readonly callArgs?: CallArguments | null;
}

/** What holds other layers: a model within the model, a wrapper. */
interface LayerContainer {
  readonly layers?: readonly tfjs.layers.Layer[];
  readonly layer?: tfjs.layers.Layer;
}

/**
 * Has layers, and models within the model, compute in inference mode where the topology calls them with training=False; tfjs-layers
 * reads such arguments and ignores them.
 * @throws Error naming the layer if it is called so in one place and not in another
 */
export function applyCallArguments(model: tfjs.layers.Layer): void {
  const { layers = [], layer: wrapped } = model as unknown as LayerContainer;
  for (const layer of wrapped === undefined ? layers : [...layers, wrapped]) {
    // A model's own inputs are a call as well, one without arguments.
    const nodes = layer.inboundNodes as unknown as readonly CallSite[];
    const sites = nodes.filter(({ callArgs }) => callArgs !== undefined && callArgs !== null);
    const inference = sites.filter(({ callArgs }) => callArgs?.training === false).length;
    if (inference > 0) {
      if (inference < sites.length) {
        throw new Error(
          `Layer ${layer.name} is called with training=False in one place and without in another, which is not supported. ` +
            'Use two layers.',
        );
      }
      const call = layer.call.bind(layer);
      layer.call = (inputs, kwargs) => call(inputs, { ...kwargs, training: false });
    }
    applyCallArguments(layer);
  }
}
