import {
  asArray,
  copyModel,
  isLayer,
  isModel,
  isRecord,
  layerLabel,
  layersOf,
  ownEntry,
  walkLayers,
  type LayerConfig,
} from './keras-layer.ts';
import { isOperation } from './operations.ts';
import type { Topology } from './job.ts';

/** How the mask of a layer's output follows from those of its inputs. */
export type MaskFlow = 'first' | 'sequences' | 'merged' | 'unsupported';

/**
 * Layers that use masks or pass them on: `first` passes the mask of the first input on, `sequences` only with all steps of the
 * output, `merged` merges those of all inputs. All other layers have outputs without a mask, as in Keras.
 */
export const MASK_FLOWS: Readonly<Record<string, MaskFlow>> = Object.fromEntries(
  (
    [
      ['first', 'Activation Dense Identity Rescaling TimeDistributed Normalization'],
      ['first', 'ELU LeakyReLU PReLU ReLU ThresholdedReLU'],
      ['first', 'GroupNormalization LayerNormalization UnitNormalization'],
      ['first', 'AlphaDropout GaussianDropout GaussianNoise KeyedDropout Dropout'],
      ['first', 'SpatialDropout1D SpatialDropout2D SpatialDropout3D'],
      ['first', 'MultiHeadAttention GroupQueryAttention Attention AdditiveAttention'],
      ['sequences', 'SimpleRNN LSTM GRU RNN Bidirectional'],
      ['merged', 'Add Subtract Average Maximum Minimum'],
      // Keras 3 multiplies masked steps by 1.
      ['unsupported', 'BatchNormalization Concatenate Dot Multiply Softmax ConvLSTM1D ConvLSTM2D ConvLSTM3D'],
    ] as const
  ).flatMap(([flow, classes]) =>
    classes.split(' ').map((className): [string, MaskFlow] => [className, flow]),
  ),
);

/** Whether a layer makes a mask. */
export const makesMask = ({ class_name: className, config }: LayerConfig): boolean =>
  className === 'Masking' || (className === 'Embedding' && config.mask_zero === true);

/** Notes in the layers of a model of Keras 3 that merge masks that it does so in its way, in place; without masks there is nothing to note. */
export function markMerging(model: LayerConfig): void {
  const layers = [...walkLayers(model)];
  if (!layers.some(makesMask)) return;
  for (const { class_name: className, config } of layers)
    if (ownEntry(MASK_FLOWS, className) === 'merged') config.mask_merge = 'any';
}

/** Names of the layers of a topology whose masks are merged as in Keras 3. */
export const mergingAny = (topology: Topology): ReadonlySet<string> =>
  new Set(
    [...walkLayers(copyModel(topology))]
      .filter(({ config }) => config.mask_merge === 'any')
      .map(({ config }) => String(config.name)),
  );

/** Whether a mask may reach the output of a layer of a functional model in the form of Keras 2. */
function mayBeMasked(model: LayerConfig, name: unknown): boolean {
  const layer = layersOf(model).find(({ config }) => config.name === name);
  if (layer === undefined) return false;
  if (makesMask(layer) || isModel(layer)) return true;
  const flow = ownEntry(MASK_FLOWS, layer.class_name);
  const inner = isLayer(layer.config.layer) ? layer.config.layer.config : layer.config;
  if (flow === undefined || (flow === 'sequences' && inner.return_sequences !== true)) return false;
  return asArray(layer.inbound_nodes)
    .flatMap(asArray)
    .some((tensor) => mayBeMasked(model, asArray(tensor)[0]));
}

/** First layer of a model that merges masks as Keras 2 does, or undefined. @param model in the form of Keras 2 */
export const findMergingAll = (model: LayerConfig): LayerConfig | undefined =>
  [model, ...walkLayers(model)]
    .filter(isModel)
    .flatMap((outer) =>
      layersOf(outer).filter(
        ({ class_name: className, config }) =>
          ownEntry(MASK_FLOWS, className) === 'merged' &&
          config.mask_merge !== 'any' &&
          [...walkLayers(model)].some(makesMask) &&
          mayBeMasked(outer, config.name),
      ),
    )
    .at(0);

/** Arguments of calls with the masks of inputs. */
const MASK_ARGUMENTS = ['mask', 'query_mask', 'value_mask', 'key_mask'];

/** [layer, call, output] of a tensor of Keras 3, or null if a value is none. */
function historyOf(tensor: unknown): unknown[] | null {
  const history = isLayer(tensor) ? asArray(tensor.config.keras_history) : [];
  return history.length === 3 ? history : null;
}

/** Formula of a mask, as text. null stands for no mask, undefined for one that is not known. */
type Formula = string | null | undefined;

/** Masks of the tensors of a model in the form of Keras 3. */
class Masks {
  readonly #layers: ReadonlyMap<unknown, LayerConfig>;
  readonly #found = new Map<string, Formula>();

  constructor(model: LayerConfig) {
    this.#layers = new Map(layersOf(model).map((layer) => [layer.config.name ?? layer.name, layer]));
  }

  /** Mask that a tensor has. The outputs of operations have none. */
  ofTensor(tensor: unknown): Formula {
    const history = historyOf(tensor);
    if (history === null) return null;
    const key = JSON.stringify(history);
    if (!this.#found.has(key)) this.#found.set(key, this.#ofOutput(history));
    return this.#found.get(key);
  }

  #ofOutput([name, call, output]: readonly unknown[]): Formula {
    const layer = this.#layers.get(name);
    if (layer === undefined || isModel(layer)) return undefined;
    if (output !== 0 || isOperation(layer)) return null;
    const node = asArray(layer.inbound_nodes)[Number(call)];
    const inputs = isRecord(node) ? [node.args].flat(9) : [];
    const { class_name: className, config } = layer;
    if (className === 'Embedding' && makesMask(layer)) return differs(inputs[0], 0);
    if (className === 'Masking') return `any ${differs(inputs[0], config.mask_value ?? 0)}`;
    const flow = ownEntry(MASK_FLOWS, className);
    const first = this.ofTensor(inputs[0]);
    if (flow === 'first') return first;
    if (flow === 'sequences') {
      const cell = isLayer(config.layer) ? config.layer.config : config;
      return cell.return_sequences === true ? first : null;
    }
    if (flow !== 'merged') return null;
    const all = inputs.map((input) => this.ofTensor(input));
    if (all.includes(undefined)) return undefined;
    if (all.includes(null)) return null;
    return all.reduce((left, right) => `or(${left}, ${right})`);
  }

  /** Mask that the argument of a call is. */
  ofArgument(mask: unknown): Formula {
    if (mask === null || mask === undefined) return null;
    const [name] = historyOf(mask) ?? [];
    const layer = this.#layers.get(name);
    const [node] = asArray(layer?.inbound_nodes);
    if (layer === undefined || !isOperation(layer) || !isRecord(node)) return 'another mask';
    const [left, right] = asArray(node.args);
    if (layer.class_name === 'ConvertToTensor') return this.ofArgument(left);
    if (layer.class_name === 'NotEqual') return differs(left, right);
    if (layer.class_name === 'Any' && layer.config.axis === -1 && layer.config.keepdims !== true)
      return `any ${this.ofArgument(left)}`;
    if (layer.class_name === 'LogicalOr') return `or(${this.ofArgument(left)}, ${this.ofArgument(right)})`;
    return 'another mask';
  }
}

const differs = (tensor: unknown, value: unknown): string =>
  `${JSON.stringify(historyOf(tensor))} is not ${JSON.stringify(value)}`;

/**
 * Removes the masks of calls and the operations that only compute masks, in place. Keras 3 writes both; engines find the masks from
 * the layers that make them.
 * @throws Error naming the layer if an engine would find another mask
 */
export function dropMasks(model: LayerConfig): void {
  const layers = layersOf(model);
  const masks = new Masks(model);
  for (const layer of layers) {
    for (const node of asArray(layer.inbound_nodes)) if (isRecord(node)) checkMasks(masks, layer, node);
  }
  for (const node of layers.flatMap((layer) => asArray(layer.inbound_nodes))) {
    const kwargs = isRecord(node) ? node.kwargs : null;
    if (isRecord(kwargs)) for (const key of MASK_ARGUMENTS) Reflect.deleteProperty(kwargs, key);
  }
  const isUsed = (layer: LayerConfig, rest: readonly LayerConfig[]): boolean =>
    JSON.stringify([model.config.output_layers, rest.map((other) => other.inbound_nodes)]).includes(
      JSON.stringify(layer.config.name ?? layer.name),
    );
  let kept = layers;
  for (;;) {
    const used = kept.filter((layer) => !isOperation(layer) || isUsed(layer, kept));
    if (used.length === kept.length) break;
    kept = used;
  }
  if (kept.length < layers.length) model.config.layers = kept;
}

/** Inputs whose masks are an argument of a call. */
function maskedInputs(
  argument: string,
  args: readonly unknown[],
  kwargs: Record<string, unknown>,
): unknown[] {
  if (argument === 'mask') return [args[0]].flat();
  const name = argument.replace('_mask', '');
  return [kwargs[name] ?? args[['query', 'value', 'key'].indexOf(name)]];
}

function checkMasks(masks: Masks, layer: LayerConfig, node: Record<string, unknown>): void {
  const kwargs = isRecord(node.kwargs) ? node.kwargs : {};
  const args = asArray(node.args);
  // Keras finds the mask of a layer's only input, and the initial state is another.
  const isIgnored = isRecord(kwargs.initial_state) || asArray(kwargs.initial_state).length > 0;
  if (isIgnored && !isLayer(kwargs.mask) && typeof masks.ofTensor(args[0]) === 'string') {
    throw new Error(
      `${layerLabel(layer)} is called with an initial state, with which Keras ignores the mask of its input. This is not supported.`,
    );
  }
  for (const argument of MASK_ARGUMENTS) {
    if (!Object.hasOwn(kwargs, argument)) continue;
    const given = kwargs[argument];
    maskedInputs(argument, args, kwargs).forEach((input, i) => {
      const found = masks.ofTensor(input);
      const expected = masks.ofArgument(Array.isArray(given) ? given[i] : given);
      if (found === undefined || found === expected) return;
      // Keras writes null for a mask that it finds itself.
      if (expected !== null) throw maskError(layer);
    });
  }
}

const maskError = (layer: LayerConfig): Error =>
  new Error(
    `${layerLabel(layer)} is called with another mask than that of its input, which is not supported. Use an Embedding with mask_zero or a Masking layer.`,
  );
