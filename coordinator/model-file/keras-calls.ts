import { asArray, isRecord, ownEntry, type LayerConfig } from '../../shared/model/keras-layer.ts';
import {
  OPERATION,
  takesList,
  type Constant,
  type Index,
  type Operand,
} from '../../shared/model/operations.ts';

// Calls of layers with named arguments or with constants, in the form of Keras 3: { args, kwargs }. Calls with tensors alone keep
// the form of Keras 2, which Keras 3 reads too.

/** Call of a layer as Keras 3 writes it. */
interface Call {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** Reference of a tensor. Keras 3 finds its shape and type anew. */
const tensorOf = (reference: unknown): unknown => ({
  class_name: '__keras_tensor__',
  config: { shape: [null], dtype: 'float32', keras_history: asArray(reference).slice(0, 3) },
});

/** Names of the inputs of attention, in the order of unnamed ones. */
const INPUT_NAMES = ['query', 'value', 'key'];

/** Layers whose inputs have names, and whether these are arguments of their own. */
const ATTENTION: Readonly<Record<string, 'arguments' | 'list'>> = {
  MultiHeadAttention: 'arguments',
  GroupQueryAttention: 'arguments',
  Attention: 'list',
  AdditiveAttention: 'list',
};

const RECURRENT: ReadonlySet<string> = new Set(['Bidirectional', 'GRU', 'LSTM', 'RNN', 'SimpleRNN']);

/** Settings of a layer that are arguments of its calls. */
export const CALL_SETTINGS: ReadonlySet<string> = new Set(['use_causal_mask', 'input_order']);

function attentionCall({ config }: LayerConfig, given: unknown[], inputs: 'arguments' | 'list'): Call {
  const kwargs = config.use_causal_mask === true ? { use_causal_mask: true } : {};
  // Keras needs a value, also where it is the query.
  const tensors = given.length === 1 ? [...given, ...given] : given;
  if (inputs === 'list') return { args: [tensors], kwargs };
  const names = asArray(config.input_order ?? INPUT_NAMES);
  // A reader takes named inputs in the order of their names, so the order stays only if as few as possible have names.
  const first = names.findIndex((name, i) => name !== INPUT_NAMES[i]);
  const unnamed = first < 0 ? tensors.length : first;
  const named: Record<string, unknown> = {};
  tensors.slice(unnamed).forEach((tensor, i) => (named[String(names[unnamed + i])] = tensor));
  return { args: tensors.slice(0, unnamed), kwargs: { ...named, ...kwargs } };
}

function recurrentCall([input, ...states]: unknown[]): Call {
  return { args: [input], kwargs: { initial_state: states.length > 1 ? states : states[0] } };
}

const constantOf = (value: Constant): unknown =>
  typeof value === 'number' ? value : { class_name: '__numpy__', config: { value, dtype: 'float32' } };

function indexOf(index: Index): unknown {
  if (index === 'newaxis') return null;
  if (index === 'ellipsis') return { class_name: '__ellipsis__', config: {} };
  return typeof index === 'number' ? index : { class_name: '__slice__', config: index };
}

/** Settings of operations that are arguments of their calls. */
const CALL_ARGUMENTS: ReadonlySet<string> = new Set(['key', 'indices', 'constant_values']);

function operationCall({ config }: LayerConfig, tensors: unknown[]): Call {
  const rest = [...tensors];
  const operands = (asArray(config.operands) as Operand[]).map((one) =>
    one === null ? rest.shift() : constantOf(one),
  );
  const { key, indices, constant_values: padding } = isRecord(config.settings) ? config.settings : {};
  const args = takesList(String(config.operation)) ? [operands] : operands;
  if (key !== undefined) args.push((key as Index[]).map(indexOf));
  if (indices !== undefined) args.push(indices);
  return { args, kwargs: padding === undefined ? {} : { constant_values: padding } };
}

/** Settings with which Keras 3 creates an operation. */
export const operationConfig = ({ config }: LayerConfig): Record<string, unknown> => ({
  name: config.name,
  ...Object.fromEntries(
    Object.entries(isRecord(config.settings) ? config.settings : {}).filter(
      ([key]) => !CALL_ARGUMENTS.has(key),
    ),
  ),
});

/** Calls of a layer for Keras 3. */
export function kerasCalls(layer: LayerConfig): unknown {
  const { class_name: className, inbound_nodes: nodes } = layer;
  const inputs = ownEntry(ATTENTION, className);
  return asArray(nodes).map((node) => {
    const tensors = asArray(node).map(tensorOf);
    if (className === OPERATION) return operationCall(layer, tensors);
    if (inputs !== undefined) return attentionCall(layer, tensors, inputs);
    return RECURRENT.has(className) && tensors.length > 1 ? recurrentCall(tensors) : node;
  });
}
