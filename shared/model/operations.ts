import {
  asArray,
  isLayer,
  isRecord,
  layerLabel,
  ownEntry,
  walkLayers,
  type LayerConfig,
} from './keras-layer.ts';

// Operations on tensors between the layers of a functional model (x * 2, ops.mean(x, axis=1)), as Keras 3 writes them. A topology
// for workers has each as a layer of the class Operation: { operation, operands, settings }.

/** Class of an operation in a topology for workers. */
export const OPERATION = 'Operation';

/** Constant of an operation: a number, or an array of numbers in nested lists. */
export type Constant = number | readonly Constant[];

/** Operand of an operation: null for the next input, else a constant. */
export type Operand = null | Constant;

/** Part of a tensor along an axis: one position, or a range as Python has it. */
export type Index =
  | number
  | { readonly start: number | null; readonly stop: number | null; readonly step: number | null }
  | 'ellipsis'
  | 'newaxis';

/** Positions of a range of Python: the first one, the step, and their number. */
export function rangeOf(
  { start, stop, step: given }: Exclude<Index, number | string>,
  length: number,
): [number, number, number] {
  const step = given ?? 1;
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (at: number | null, standard: number): number =>
    at === null ? standard : Math.min(high, Math.max(low, at < 0 ? at + length : at));
  const from = clamp(start, step > 0 ? low : high);
  const to = clamp(stop, step > 0 ? high : low);
  return [from, step, Math.max(0, Math.ceil((to - from) / step))];
}

type Check = (value: unknown) => boolean;

/** Operation that gradcast computes. */
interface Operation {
  /** Number of operands; null for any number of tensors. */
  readonly operands: number | null;
  /** Whether operands may be constants. */
  readonly takesConstants?: boolean;
  readonly settings?: Readonly<Record<string, Check>>;
}

const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(Math.fround(value));
const isNumberOrNull: Check = (value) => value === null || isNumber(value);
const isFlag: Check = (value) => value === null || typeof value === 'boolean';
const isAxis: Check = Number.isInteger;
const isAxes: Check = (value) => [value].flat().length > 0 && [value].flat().every(Number.isInteger);
const isCount: Check = (value) => Number.isInteger(value) && Number(value) > 0;
const isOneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value);
const isIndex: Check = (value) =>
  isAxis(value) ||
  value === 'ellipsis' ||
  value === 'newaxis' ||
  (isRecord(value) &&
    ['start', 'stop', 'step'].every((key) => value[key] === null || isAxis(value[key])) &&
    value.step !== 0);

const unary = (settings: Operation['settings'] = {}): Operation => ({ operands: 1, settings });
const binary: Operation = { operands: 2, takesConstants: true };
const reduction = unary({ axis: isAxes, keepdims: isFlag });
const alongAxis = unary({ axis: isAxis });

const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...Object.fromEntries(
    (
      'Add Subtract Multiply Divide TrueDivide FloorDivide Mod Power Maximum Minimum ' +
      'Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr Matmul Dot'
    )
      .split(' ')
      .map((name) => [name, binary]),
  ),
  ...Object.fromEntries(
    (
      'Negative Absolute Exp Expm1 Log Log1p Sqrt Rsqrt Square Reciprocal Sin Cos Tan Sinh Cosh Tanh Erf ' +
      'Sign Floor Ceil LogicalNot ZerosLike OnesLike ' +
      'Relu Relu6 Sigmoid Silu Softplus Softsign Selu HardSigmoid HardSilu HardTanh LogSigmoid SparsePlus ' +
      'SparseSigmoid TanhShrink'
    )
      .split(' ')
      .map((name) => [name, unary()]),
  ),
  ...Object.fromEntries(
    'Mean Sum Max Min Prod Var Std Logsumexp Any All'.split(' ').map((name) => [name, reduction]),
  ),
  Norm: unary({ ord: isOneOf(null, 2, 'euclidean'), axis: isAxes, keepdims: isFlag }),
  Normalize: unary({ axis: isAxes, order: isOneOf(2), epsilon: isNumberOrNull }),
  Argmax: unary({ axis: isAxis, keepdims: isFlag }),
  Argmin: unary({ axis: isAxis, keepdims: isFlag }),
  Softmax: alongAxis,
  LogSoftmax: alongAxis,
  Glu: alongAxis,
  Elu: unary({ alpha: isNumber }),
  Celu: unary({ alpha: isNumber }),
  Gelu: unary({ approximate: isFlag }),
  LeakyRelu: unary({ negative_slope: isNumber }),
  Squareplus: unary({ b: isNumber }),
  SoftShrink: unary({ threshold: isNumber }),
  HardShrink: unary({ threshold: isNumber }),
  Threshold: unary({ threshold: isNumber, default_value: isNumber }),
  Clip: unary({ x_min: isNumber, x_max: isNumber }),
  Cast: unary({ dtype: isOneOf('float32', 'bool', 'int32', 'int64') }),
  Where: { operands: 3, takesConstants: true },
  Reshape: unary({ newshape: (value) => asArray(value).every((size) => size === null || isAxis(size)) }),
  Transpose: unary({ axes: isAxes }),
  Swapaxes: unary({ axis1: isAxis, axis2: isAxis }),
  Moveaxis: unary({ source: isAxes, destination: isAxes }),
  ExpandDims: unary({ axis: isAxes }),
  Squeeze: unary({ axis: (value) => value === null || isAxes(value) }),
  Concatenate: { operands: null, settings: { axis: isAxis } },
  Stack: { operands: null, settings: { axis: isAxis } },
  Split: unary({ indices_or_sections: isAxes, axis: isAxis }),
  Unstack: unary({ num: (value) => value === null || isCount(value), axis: isAxis }),
  GetItem: unary({ key: (value) => asArray(value).length > 0 && asArray(value).every(isIndex) }),
  Take: unary({ indices: isAxes, axis: isAxis }),
  Flip: unary({ axis: isAxes }),
  Roll: unary({ shift: isAxis, axis: isAxis }),
  Cumsum: alongAxis,
  Repeat: unary({ repeats: isCount, axis: isAxis }),
  Tile: unary({ repeats: (value) => asArray(value).length > 0 && asArray(value).every(isCount) }),
  Pad: unary({
    pad_width: (value) => asArray(value).every((pair) => asArray(pair).length === 2 && isAxes(pair)),
    mode: isOneOf('constant'),
    constant_values: isNumberOrNull,
  }),
  OneHot: unary({ num_classes: isCount, axis: isOneOf(-1), sparse: isFlag }),
  Einsum: {
    operands: 2,
    takesConstants: true,
    settings: {
      subscripts: (value) =>
        typeof value === 'string' && /^[a-zA-Z]+,[a-zA-Z]+->[a-zA-Z]+$/.test(value.replaceAll(' ', '')),
    },
  },
};

/** Modules of Keras 3 with operations; all others are in keras.src.ops.numpy. */
const MODULES: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ['core', 'Cast Unstack'],
    ['math', 'Erf Logsumexp Rsqrt'],
    ['linalg', 'Norm'],
    [
      'nn',
      'Celu Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid LogSoftmax Normalize OneHot Relu Relu6 ' +
        'Selu Sigmoid Silu SoftShrink Softmax Softplus Softsign SparsePlus SparseSigmoid Squareplus TanhShrink Threshold',
    ],
  ].flatMap(([module, names = '']) => names.split(' ').map((name) => [name, `keras.src.ops.${module}`])),
);

/** Module of Keras 3 that has an operation. */
export const operationModule = (name: string): string => ownEntry(MODULES, name) ?? 'keras.src.ops.numpy';

/** Whether an operation takes its operands as one list. */
export const takesList = (name: string): boolean => ownEntry(OPERATIONS, name)?.operands === null;

/** Names of the operations, for tests. */
export const OPERATION_NAMES: readonly string[] = Object.keys(OPERATIONS);

const isConstant: Check = (value) =>
  isNumber(value) || (Array.isArray(value) && value.length > 0 && value.every(isConstant));

/** Whether a layer of Keras 3 is an operation on tensors. */
export const isOperation = (layer: LayerConfig): boolean =>
  String((layer as { module?: unknown }).module).startsWith('keras.src.ops');

const unsupported = (layer: LayerConfig, problem: string): Error =>
  new Error(
    `${layerLabel(layer)} is an operation on tensors ${problem}, which is not supported. Use a layer of Keras.`,
  );

/** Settings of all operations that Keras writes as null or false where they have no effect. */
const IGNORED_SETTINGS: ReadonlySet<string> = new Set(['name', 'trainable', 'dtype', 'initial', 'where']);

/**
 * Checks the layers of the class Operation.
 * @throws Error naming the layer if gradcast does not compute an operation or one of its settings
 */
export function checkOperations(model: LayerConfig): void {
  for (const layer of walkLayers(model)) {
    if (layer.class_name !== OPERATION) continue;
    const { operation, operands, settings } = layer.config;
    const known = typeof operation === 'string' ? ownEntry(OPERATIONS, operation) : undefined;
    if (known === undefined) throw unsupported(layer, `(${String(operation)})`);
    const list = asArray(operands);
    const isComplete = known.operands === null ? list.length > 0 : list.length === known.operands;
    const areSound = list.every((one) => one === null || (known.takesConstants === true && isConstant(one)));
    const calls = asArray(layer.inbound_nodes);
    const inputs = list.filter((one) => one === null).length;
    if (!isComplete || !areSound || inputs === 0 || calls.some((call) => asArray(call).length !== inputs))
      throw unsupported(layer, `(${String(operation)}) with other operands than numbers and tensors`);
    for (const [key, value] of Object.entries(isRecord(settings) ? settings : {})) {
      if (ownEntry(known.settings ?? {}, key)?.(value) === true) continue;
      throw unsupported(layer, `(${String(operation)}) with ${key} ${JSON.stringify(value)}`);
    }
    const missing = Object.entries(known.settings ?? {}).find(
      ([key, check]) => !(isRecord(settings) && key in settings) && !check(null),
    );
    if (missing !== undefined) throw unsupported(layer, `(${String(operation)}) without ${missing[0]}`);
  }
}

/** Operations with a result of another type if all of their inputs are booleans. */
const ARITHMETIC: ReadonlySet<string> = new Set(['Add', 'Subtract', 'Negative']);

/**
 * Rewrites the operations of a model of Keras 3 as layers of the class Operation, in place. Their calls become those of Keras 2.
 * @param referenceOf [layer, call, output] of a tensor
 * @throws Error naming the layer if it is called with something else than tensors and numbers
 */
export function convertOperation(layer: LayerConfig, referenceOf: (tensor: unknown) => unknown): void {
  const { name, ...config } = layer.config;
  const settings: Record<string, unknown> = {};
  const [call, ...others] = asArray(layer.inbound_nodes);
  if (!isRecord(call) || others.length > 0) throw unsupported(layer, 'that is called more than once');
  const kwargs = isRecord(call.kwargs) ? call.kwargs : {};
  const isCast = layer.class_name === 'Cast';
  for (const [key, value] of Object.entries({ ...config, ...kwargs })) {
    if (IGNORED_SETTINGS.has(key) && !(isCast && key === 'dtype')) {
      if (value === null || value === true || key === 'name' || key === 'trainable' || isFloat(value))
        continue;
      throw unsupported(layer, `with ${key} ${JSON.stringify(value)}`);
    }
    if (value === null || key === 'training') continue;
    settings[key] = value;
  }
  const args = readArguments(layer, asArray(call.args), settings);
  const tensors = args.filter(isTensor);
  const isBoolean = (tensor: unknown): boolean => isLayer(tensor) && tensor.config.dtype === 'bool';
  if (ARITHMETIC.has(layer.class_name) && tensors.every(isBoolean))
    throw unsupported(layer, 'that are booleans');
  layer.config = {
    name,
    operation: layer.class_name,
    operands: args.map((arg) => (isTensor(arg) ? null : constantOf(layer, arg))),
    settings,
  };
  layer.class_name = OPERATION;
  layer.inbound_nodes = [tensors.map((tensor) => [...asArray(referenceOf(tensor)), {}])];
}

const isFloat = (dtype: unknown): boolean =>
  dtype === 'float32' || (isLayer(dtype) && dtype.config.name === 'float32');

const isTensor = (value: unknown): boolean =>
  isLayer(value) && asArray(value.config.keras_history).length === 3;

/** Operands of a call; arguments that are settings are added to these. */
function readArguments(
  { class_name: className }: LayerConfig,
  args: readonly unknown[],
  settings: Record<string, unknown>,
): unknown[] {
  const [first, second] = args;
  if (className === 'GetItem') {
    settings.key = (Array.isArray(second) ? (second as unknown[]) : [second]).map(readIndex);
    return [first];
  }
  if (className === 'Take') {
    settings.indices = isLayer(second) && !isTensor(second) ? second.config.value : second;
    return [first];
  }
  return OPERATIONS[className]?.operands === null && Array.isArray(first) ? first : [...args];
}

function readIndex(index: unknown): unknown {
  if (index === null) return 'newaxis';
  if (!isLayer(index)) return index;
  if (index.class_name === '__ellipsis__') return 'ellipsis';
  if (index.class_name !== '__slice__') return index;
  const { start = null, stop = null, step = null } = index.config;
  return { start, stop, step };
}

/** Number or numbers of an argument that is no tensor of the model. */
function constantOf(layer: LayerConfig, value: unknown): unknown {
  const constant =
    isLayer(value) && /^__(numpy|tensor)__$/.test(value.class_name) ? value.config.value : value;
  if (isConstant(constant)) return constant;
  if (typeof constant === 'boolean') return Number(constant);
  throw unsupported(layer, 'with an argument that is neither a tensor nor a number');
}
