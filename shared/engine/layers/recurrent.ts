import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import type { Activation } from './activations.ts';
import { randomContext } from './random-source.ts';
import {
  singleInput,
  stockLayer,
  type CallArguments,
  type Config,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type Weight,
} from './stock.ts';

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

/** Layer that applies a cell to every step. */
interface StockRecurrent extends tfjs.layers.Layer {
  readonly cell: tfjs.layers.Layer;
  readonly goBackwards: boolean;
  readonly returnSequences: boolean;
}

/** Settings of the dropout of a cell. */
interface CellDropout {
  readonly dropout: number;
  readonly recurrentDropout: number;
  /** Number of the mask of the inputs; that of the state has the next one. */
  number: number;
  /** Whether each gate has masks of its own, as with Keras' implementation 1, which recurrent dropout requires. */
  readonly perGate: boolean;
  /** Masks of the current call, each [samples, values] and one for each gate or for all of them. */
  masks: { readonly inputs: tfjs.Tensor[] | null; readonly state: tfjs.Tensor[] | null } | null;
}

const cellDropouts = new WeakMap<tfjs.layers.Layer, CellDropout>();

/** Gates of each kind of cell. */
const GATES = { SimpleRNN: 1, LSTM: 4, GRU: 3 } as const;
type Kind = keyof typeof GATES;

/** Cells within a recurrent layer or a stack of cells. */
function cellsOf(layer: tfjs.layers.Layer): tfjs.layers.Layer[] {
  const { cell, cells } = layer as {
    readonly cell?: tfjs.layers.Layer;
    readonly cells?: tfjs.layers.Layer[];
  };
  if (cell !== undefined) return cellsOf(cell);
  return cells === undefined ? [layer] : cells.flatMap(cellsOf);
}

/** Settings of a cell that tfjs-layers lacks or computes otherwise than Keras. */
interface CellSettings {
  readonly resetAfter?: boolean;
  readonly dropout: number;
  readonly recurrentDropout: number;
  readonly implementation?: number;
  readonly number: number;
  /** Whether outputs of masked steps are 0, not those of the step before. */
  readonly zeroOutputForMask: boolean;
}

const cellSettings = (config: Config): CellSettings => ({
  ...(config.resetAfter === undefined ? {} : { resetAfter: config.resetAfter === true }),
  ...(typeof config.implementation === 'number' ? { implementation: config.implementation } : {}),
  dropout: Number(config.dropout ?? 0),
  recurrentDropout: Number(config.recurrentDropout ?? 0),
  number: Number(config.number ?? 0),
  zeroOutputForMask: config.zeroOutputForMask === true,
});

/** Configuration for the class of tfjs-layers. */
const stockConfig = (config: Config): Config => ({
  ...config,
  dropout: 0,
  recurrentDropout: 0,
  ...(config.resetAfter === undefined ? {} : { resetAfter: false }),
});

/** Makes a cell of tfjs-layers compute reset_after and keyed dropout. */
function correctCell(tf: TF, kind: Kind, cell: StockCell, settings: CellSettings): void {
  if (settings.resetAfter === true) useResetAfter(tf, cell);
  const { dropout, recurrentDropout, implementation, number, resetAfter = false } = settings;
  if (dropout <= 0 && recurrentDropout <= 0) return;
  const perGate = kind !== 'SimpleRNN' && (recurrentDropout > 0 || implementation === 1);
  const state: CellDropout = { dropout, recurrentDropout, number, perGate, masks: null };
  cellDropouts.set(cell, state);
  const call = cell.call.bind(cell);
  cell.call = (inputs, kwargs) =>
    state.masks === null
      ? call(inputs, kwargs)
      : tf.tidy(() => dropoutStep(tf, kind, cell, inputs as tfjs.Tensor2D[], state.masks, resetAfter));
}

/** Product with a kernel whose columns are those of the gates, after the mask of all gates or of each. */
function maskedProduct(
  tf: TF,
  x: tfjs.Tensor,
  kernel: tfjs.Tensor,
  masks: tfjs.Tensor[] | null,
): tfjs.Tensor {
  if (masks === null) return tf.matMul(x, kernel);
  const [first] = masks;
  if (first !== undefined && masks.length === 1) return tf.matMul(tf.mul(x, first), kernel);
  const columns = tf.split(kernel, masks.length, 1);
  return tf.concat(
    masks.map((mask, gate) => tf.matMul(tf.mul(x, mask), columns[gate] as tfjs.Tensor)),
    1,
  );
}

/** One step of a cell with dropout, as Keras computes it. @returns the output and the next states */
function dropoutStep(
  tf: TF,
  kind: Kind,
  cell: StockCell,
  [x, h, carry]: readonly tfjs.Tensor[],
  masks: CellDropout['masks'],
  resetAfter: boolean,
): tfjs.Tensor[] {
  if (x === undefined || h === undefined) throw new Error('A cell was called without its state.');
  const { units } = cell;
  const { inputs = null, state = null } = masks ?? {};
  const bias = cell.bias?.read();
  const rowOf = (row: number): tfjs.Tensor | undefined =>
    bias !== undefined && resetAfter
      ? tf.slice(bias, [row, 0], [1, 3 * units])
      : row === 0
        ? bias
        : undefined;
  const plus = (value: tfjs.Tensor, added: tfjs.Tensor | undefined): tfjs.Tensor =>
    added === undefined ? value : tf.add(value, added);
  const fromInputs = plus(maskedProduct(tf, x, cell.kernel.read(), inputs), rowOf(0));
  const recurrent = cell.recurrentKernel.read();
  if (kind === 'GRU' && !resetAfter) {
    const gates = maskedProduct(
      tf,
      h,
      tf.slice(recurrent, [0, 0], [units, 2 * units]),
      state?.slice(0, 2) ?? null,
    );
    const [xZ, xR, xH] = tf.split(fromInputs, 3, 1) as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
    const [hZ, hR] = tf.split(gates, 2, 1) as [tfjs.Tensor, tfjs.Tensor];
    const z = cell.recurrentActivation.apply(tf.add(xZ, hZ));
    const r = cell.recurrentActivation.apply(tf.add(xR, hR));
    const masked = state?.[2] === undefined ? h : tf.mul(h, state[2]);
    const candidateKernel = tf.slice(recurrent, [0, 2 * units], [units, units]);
    const candidate = cell.activation.apply(tf.add(xH, tf.matMul(tf.mul(r, masked), candidateKernel)));
    const next = tf.add(tf.mul(z, h), tf.mul(tf.sub(1, z), candidate));
    return [next, next];
  }
  const fromState = plus(maskedProduct(tf, h, recurrent, state), rowOf(1));
  if (kind === 'GRU') {
    const next = gruState(tf, cell, fromInputs, fromState, h);
    return [next, next];
  }
  const sum = tf.add(fromInputs, fromState);
  if (kind === 'SimpleRNN') {
    const next = cell.activation.apply(sum);
    return [next, next];
  }
  const [i, f, c, o] = tf.split(sum, 4, 1) as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
  const kept = tf.mul(cell.recurrentActivation.apply(f), carry as tfjs.Tensor);
  const added = tf.mul(cell.recurrentActivation.apply(i), cell.activation.apply(c));
  const nextCarry = tf.add(kept, added);
  const output = tf.mul(cell.recurrentActivation.apply(o), cell.activation.apply(nextCarry));
  return [output, output, nextCarry];
}

/** Runs a recurrent layer with the masks of its cells, which are the same for all steps. */
function withCellMasks<T extends Inputs>(
  tf: TF,
  layer: tfjs.layers.Layer,
  samples: number,
  { training }: CallArguments,
  run: () => T,
): T {
  const { masks: source } = randomContext(tf);
  const cells = cellsOf(layer).filter((cell) => cellDropouts.has(cell));
  if (source === null || training === false || cells.length === 0) return run();
  return tf.tidy(() => {
    try {
      for (const cell of cells as StockCell[]) {
        const dropout = cellDropouts.get(cell) as CellDropout;
        const kind = cell.getClassName().replace('Cell', '') as Kind;
        const gates = dropout.perGate ? GATES[kind] : 1;
        const draw = (number: number, rate: number, size: number): tfjs.Tensor[] | null => {
          if (rate <= 0) return null;
          const values = source.draw(number, rate, [samples, gates * size]);
          return gates === 1 ? [values] : tf.split(values, gates, 1);
        };
        dropout.masks = {
          inputs: draw(dropout.number, dropout.dropout, cell.kernel.read().shape[0]),
          state: draw(dropout.number + 1, dropout.recurrentDropout, cell.units),
        };
      }
      return run();
    } finally {
      for (const cell of cells) (cellDropouts.get(cell) as CellDropout).masks = null;
    }
  });
}

/** Sets the outputs of masked steps to 0. */
function zeroMasked(
  tf: TF,
  { goBackwards, returnSequences }: StockRecurrent,
  results: Inputs,
  { mask }: CallArguments,
): Inputs {
  if (mask === undefined || mask === null || !returnSequences) return results;
  return tf.tidy(() => {
    const [output, ...states] = [results].flat();
    if (output === undefined) return results;
    const [samples = 0, steps = 0] = (mask as tfjs.Tensor).shape;
    const inOrder = goBackwards ? tf.reverse(mask as tfjs.Tensor, 1) : (mask as tfjs.Tensor);
    const zeroed = tf.mul(output, tf.reshape(inOrder, [samples, steps, 1]));
    return Array.isArray(results) ? [zeroed, ...states] : zeroed;
  });
}

/** SimpleRNN, LSTM or GRU with keyed dropout and, for a GRU, reset_after, Keras' default, which tfjs-layers lacks. */
function recurrentLayer(tf: TF, kind: Kind): LayerClass {
  return class extends stockLayer<StockRecurrent>(tf, kind) {
    static readonly className = kind;
    readonly #settings: CellSettings;

    constructor(config: Config) {
      super(stockConfig(config));
      this.#settings = cellSettings(config);
      correctCell(tf, kind, this.cell as StockCell, this.#settings);
    }

    override apply(...[inputs, kwargs]: Parameters<tfjs.layers.Layer['apply']>) {
      // tfjs-layers adds the initial state to the arguments, which other layers share.
      return super.apply(inputs, { ...kwargs });
    }

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const [samples = 0] = singleInput(inputs).shape;
      const output = withCellMasks(tf, this, samples, kwargs, () => super.call(inputs, kwargs));
      return this.#settings.zeroOutputForMask ? zeroMasked(tf, this, output, kwargs) : output;
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return { ...super.getConfig(), ...this.#settings };
    }
  };
}

const simpleRnnLayer = (tf: TF): LayerClass => recurrentLayer(tf, 'SimpleRNN');
const lstmLayer = (tf: TF): LayerClass => recurrentLayer(tf, 'LSTM');
const gruLayer = (tf: TF): LayerClass => recurrentLayer(tf, 'GRU');

/** Cell of a recurrentLayer(), for RNN and StackedRNNCells. */
function recurrentCell(tf: TF, kind: Kind): LayerClass {
  return class extends stockLayer<StockCell>(tf, `${kind}Cell`) {
    static readonly className = `${kind}Cell`;
    readonly #settings: CellSettings;

    constructor(config: Config) {
      super(stockConfig(config));
      this.#settings = cellSettings(config);
      correctCell(tf, kind, this, this.#settings);
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return { ...super.getConfig(), ...this.#settings };
    }
  };
}

const simpleRnnCellLayer = (tf: TF): LayerClass => recurrentCell(tf, 'SimpleRNN');
const lstmCellLayer = (tf: TF): LayerClass => recurrentCell(tf, 'LSTM');
const gruCellLayer = (tf: TF): LayerClass => recurrentCell(tf, 'GRU');

/**
 * Changes a cell so that the reset gate applies after the product with the recurrent kernel, and this product has its own bias.
 * Equations: Keras' GRUCell; Cho et al. 2014, version 1.
 */
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
      const next = gruState(
        tf,
        cell,
        product(x, cell.kernel, 0),
        product(state, cell.recurrentKernel, 1),
        state,
      );
      return [next, next];
    });
}

/** Next state of a GRU with reset_after, from the products of inputs and state with the kernels. */
function gruState(
  tf: TF,
  { activation, recurrentActivation }: StockCell,
  fromInputs: tfjs.Tensor,
  fromState: tfjs.Tensor,
  state: tfjs.Tensor,
): tfjs.Tensor {
  const [xZ, xR, xH] = tf.split(fromInputs, 3, 1) as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
  const [hZ, hR, hH] = tf.split(fromState, 3, 1) as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
  const z = recurrentActivation.apply(tf.add(xZ, hZ));
  const r = recurrentActivation.apply(tf.add(xR, hR));
  const candidate = activation.apply(tf.add(xH, tf.mul(r, hH)));
  return tf.add(tf.mul(z, state), tf.mul(tf.sub(1, z), candidate));
}

type FromConfig = (cls: LayerClass, config: Config, customObjects?: object) => tfjs.layers.Layer;

/**
 * RNN that can be built twice from one configuration, as Bidirectional does, and whose cells may have dropout. tfjs-layers would
 * store the built cell in the configuration.
 */
function rnnLayer(tf: TF): LayerClass {
  const Stock = stockLayer<StockRecurrent>(tf, 'RNN') as (new (config: Config) => StockRecurrent) & {
    readonly fromConfig: FromConfig;
  };
  return class RNN extends Stock {
    static readonly className = 'RNN';

    readonly #zeroOutputForMask: boolean;

    constructor(config: Config) {
      super(config);
      this.#zeroOutputForMask = config.zeroOutputForMask === true;
    }

    static override readonly fromConfig: FromConfig = (cls, config, customObjects) =>
      Stock.fromConfig(cls, { ...config }, customObjects);

    override apply(...[inputs, kwargs]: Parameters<tfjs.layers.Layer['apply']>) {
      return super.apply(inputs, { ...kwargs });
    }

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const [samples = 0] = singleInput(inputs).shape;
      const output = withCellMasks(tf, this, samples, kwargs, () => super.call(inputs, kwargs));
      return this.#zeroOutputForMask ? zeroMasked(tf, this, output, kwargs) : output;
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return { ...super.getConfig(), zeroOutputForMask: this.#zeroOutputForMask };
    }
  };
}

interface StockBidirectional extends tfjs.layers.Layer {
  readonly forwardLayer: tfjs.layers.Layer;
  readonly backwardLayer: tfjs.layers.Layer;
}

/** Bidirectional whose second layer draws its own random numbers, numbered after those of the first. */
function bidirectionalLayer(tf: TF): LayerClass {
  return class Bidirectional extends stockLayer<StockBidirectional>(tf, 'Bidirectional') {
    static readonly className = 'Bidirectional';

    constructor(config: Config) {
      super(config);
      const dropouts = cellsOf(this.backwardLayer).flatMap((cell) => cellDropouts.get(cell) ?? []);
      for (const dropout of dropouts) dropout.number += 2 * dropouts.length;
    }
  };
}

export const recurrentLayers: readonly LayerFactory[] = [
  simpleRnnLayer,
  lstmLayer,
  gruLayer,
  simpleRnnCellLayer,
  lstmCellLayer,
  gruCellLayer,
  rnnLayer,
  bidirectionalLayer,
];
