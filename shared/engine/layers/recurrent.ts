import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { stockLayer, type CallArguments, type Config, type LayerClass, type Weight } from './stock.ts';

interface Activation {
  apply(x: tfjs.Tensor): tfjs.Tensor;
}

interface StockCell extends tfjs.layers.Layer {
  readonly units: number;
  readonly useBias: boolean;
  readonly activation: Activation;
  readonly recurrentActivation: Activation;
  readonly kernel: Weight;
  readonly recurrentKernel: Weight;
  /** [2, 3 units] with resetAfter: the biases of the product with the inputs and of the product with the state. */
  bias: Weight | null;
  readonly biasInitializer: unknown;
}

/**
 * GRU with reset_after, Keras' default, which tfjs-layers lacks: the reset gate applies after the product with the recurrent
 * kernel, and this product has its own bias. Equations: Keras' GRUCell; Cho et al. 2014, version 1.
 */
export function gruLayer(tf: TF): LayerClass {
  return class GRU extends stockLayer<tfjs.layers.Layer & { readonly cell: StockCell }>(tf, 'GRU') {
    static readonly className = 'GRU';
    readonly #resetAfter: boolean;

    constructor(config: Config) {
      super({ ...config, resetAfter: false });
      this.#resetAfter = config.resetAfter === true;
      if (this.#resetAfter) useResetAfter(tf, this.cell);
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return { ...super.getConfig(), resetAfter: this.#resetAfter };
    }
  };
}

/** Cell of a GRU with reset_after, for RNN and StackedRNNCells. */
export function gruCellLayer(tf: TF): LayerClass {
  return class GRUCell extends stockLayer<StockCell>(tf, 'GRUCell') {
    static readonly className = 'GRUCell';
    readonly #resetAfter: boolean;

    constructor(config: Config) {
      super({ ...config, resetAfter: false });
      this.#resetAfter = config.resetAfter === true;
      if (this.#resetAfter) useResetAfter(tf, this);
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return { ...super.getConfig(), resetAfter: this.#resetAfter };
    }
  };
}

/** Changes a cell so that the reset gate applies after the product with the recurrent kernel. */
function useResetAfter(tf: TF, cell: StockCell): void {
  const { units } = cell;
  const parts = cell as unknown as {
    useBias: boolean;
    addWeight(name: string, shape: number[], dtype: null, initializer: unknown, ...rest: unknown[]): Weight;
  };
  const build = cell.build.bind(cell);
  cell.build = (inputShape) => {
    const { useBias } = parts;
    parts.useBias = false;
    build(inputShape);
    parts.useBias = useBias;
    if (useBias) cell.bias = parts.addWeight('bias', [2, 3 * units], null, cell.biasInitializer, null, true);
  };
  cell.call = (inputs: tfjs.Tensor | tfjs.Tensor[], _kwargs: CallArguments) =>
    tf.tidy(() => {
      const [x, state] = inputs as [tfjs.Tensor2D, tfjs.Tensor2D];
      const bias = cell.bias?.read();
      const product = (left: tfjs.Tensor, kernel: Weight, row: number): tfjs.Tensor => {
        const plain = tf.matMul(left, kernel.read());
        return bias === undefined ? plain : tf.add(plain, tf.slice(bias, [row, 0], [1, 3 * units]));
      };
      const [xZ, xR, xH] = tf.split(product(x, cell.kernel, 0), 3, 1);
      const [hZ, hR, hH] = tf.split(product(state, cell.recurrentKernel, 1), 3, 1);
      const z = cell.recurrentActivation.apply(tf.add(xZ as tfjs.Tensor, hZ as tfjs.Tensor));
      const r = cell.recurrentActivation.apply(tf.add(xR as tfjs.Tensor, hR as tfjs.Tensor));
      const candidate = cell.activation.apply(tf.add(xH as tfjs.Tensor, tf.mul(r, hH as tfjs.Tensor)));
      const next = tf.add(tf.mul(z, state), tf.mul(tf.sub(1, z), candidate));
      return [next, next];
    });
}

type FromConfig = (cls: LayerClass, config: Config, customObjects?: object) => tfjs.layers.Layer;

/** RNN that can be built twice from one configuration, as Bidirectional does. tfjs-layers would store the built cell in it. */
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
