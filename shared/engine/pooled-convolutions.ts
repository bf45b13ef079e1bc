import type * as tfjs from '@tensorflow/tfjs';
import { pooledConv2d, supportsPooledConv2d } from '../kernels/fused-ops.ts';
import type { TF } from '../util/tf.ts';
import { isRelu, type Activation } from './layers/activations.ts';
import { singleInput, type Weight } from './layers/stock.ts';

/** Layers inside a nested model. */
interface Container extends tfjs.layers.Layer {
  readonly layers?: readonly Container[];
  readonly outputLayers?: readonly tfjs.layers.Layer[];
}

interface Convolution extends tfjs.layers.Layer {
  readonly dataFormat: string;
  readonly padding: string;
  readonly strides: readonly number[];
  readonly dilationRate: number | readonly number[];
  readonly kernel: Weight & { readonly shape: readonly number[] };
  readonly bias: Weight | null;
  readonly activation: Activation | null;
}

interface Pool extends tfjs.layers.Layer {
  readonly dataFormat: string;
  readonly padding: string;
  readonly poolSize: readonly number[];
  readonly strides: readonly number[];
}

const areAll = (values: number | readonly number[], value: number): boolean =>
  [values].flat().every((each) => each === value);

/** Whether a layer is a convolution that pooledConv2d() may compute; supportsPooledConv2d() decides by the sizes. */
function isConvolution(layer: tfjs.layers.Layer): layer is Convolution {
  if (layer.getClassName() !== 'Conv2D' || layer.inboundNodes.length !== 1) return false;
  const { dataFormat, padding, dilationRate, bias, activation } = layer as Convolution;
  const isPlain = dataFormat !== 'channelsFirst' && (padding === 'valid' || padding === 'same');
  const isLinear = activation === null || activation.getClassName() === 'linear';
  return isPlain && areAll(dilationRate, 1) && bias !== null && (isLinear || isRelu(activation));
}

/** The max-pool of 2 x 2 that alone uses a layer's output. */
function poolBehind(layer: tfjs.layers.Layer): Pool | null {
  const [node, ...others] = layer.outboundNodes;
  const pool = node?.outboundLayer as Pool | undefined;
  if (pool?.getClassName() !== 'MaxPooling2D' || others.length > 0 || pool.inboundNodes.length !== 1)
    return null;
  const [, height, width] = layer.outputShape as tfjs.Shape;
  const isEven = (length: number | null | undefined): boolean =>
    typeof length === 'number' && length % 2 === 0;
  const isWhole = pool.padding === 'valid' || (isEven(height) && isEven(width));
  const isPlain = pool.dataFormat !== 'channelsFirst' && areAll(pool.poolSize, 2) && areAll(pool.strides, 2);
  return isPlain && isWhole ? pool : null;
}

/**
 * Makes convolutions that a max-pool of 2 x 2 follows compute both as one op, where the backend has it. Layers whose output
 * something else reads stay as they are.
 * @param isRead whether something reads the output of the layer of this name
 */
export function poolConvolutions(tf: TF, model: tfjs.layers.Layer, isRead: (name: string) => boolean): void {
  const { layers = [], outputLayers = [] } = model as Container;
  for (const layer of layers) {
    poolConvolutions(tf, layer, isRead);
    if (outputLayers.includes(layer) || isRead(layer.name) || !isConvolution(layer)) continue;
    const pool = poolBehind(layer);
    if (pool !== null) computeTogether(tf, layer, pool);
  }
}

function computeTogether(tf: TF, layer: Convolution, pool: Pool): void {
  const pooled = new WeakSet<tfjs.Tensor>();
  const convolve = layer.call.bind(layer);
  const shrink = pool.call.bind(pool);
  layer.call = (inputs, kwargs) => {
    const [down = 1, right = 1] = layer.strides;
    const how = {
      strides: [down, right],
      padding: layer.padding as 'valid' | 'same',
      relu: isRelu(layer.activation),
    } as const;
    const x = singleInput(inputs);
    // Weights are read once in a pass, so that their gradients can be reported.
    if (!supportsPooledConv2d(tf, x, layer.kernel.shape, how)) return convolve(inputs, kwargs);
    const output = tf.tidy(() =>
      pooledConv2d(tf, x, layer.kernel.read(), (layer.bias as Weight).read(), how),
    );
    pooled.add(output);
    return output;
  };
  pool.call = (inputs, kwargs) => {
    const input = singleInput(inputs);
    return pooled.has(input) ? input.clone() : shrink(inputs, kwargs);
  };
}
