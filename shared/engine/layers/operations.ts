import type * as tfjs from '@tensorflow/tfjs';
import { OPERATION, type Operand } from '../../model/operations.ts';
import { ownEntry } from '../../model/keras-layer.ts';
import type { TF } from '../../util/tf.ts';
import { celu, elu, namedActivation, squareplus } from './activations.ts';
import { gluAlong, logSoftmaxAlong, magnitude, maxAlong, softmaxAlong, withoutGradient } from './axes.ts';
import {
  axesFor,
  axisFor,
  checkAligned,
  mixes,
  number,
  type Compute,
  type OperationCall,
} from './operation-call.ts';
import { SHAPE_OPERATIONS } from './operation-shapes.ts';
import { einsum, product } from './products.ts';
import { ownLayer, type Config, type Inputs, type LayerClass, type LayerFactory } from './stock.ts';

const elementwise =
  (compute: (tf: TF, x: tfjs.Tensor) => tfjs.Tensor): Compute =>
  ({ tf }, x) =>
    compute(tf, x);

/** Operation of two operands, aligned by their last axes as in numpy. */
const pairwise =
  (compute: (tf: TF, left: tfjs.Tensor, right: tfjs.Tensor) => tfjs.Tensor): Compute =>
  (call, left, right) => {
    checkAligned(call, [left, right]);
    return compute(call.tf, left, right);
  };

const comparison = (compare: (tf: TF, left: tfjs.Tensor, right: tfjs.Tensor) => tfjs.Tensor): Compute =>
  pairwise((tf, left, right) =>
    withoutGradient(tf, [left, right], (a, b) => tf.cast(compare(tf, a, b), 'float32')),
  );

/** 1 for values other than 0, which count as true, else 0. */
const truth = (tf: TF, x: tfjs.Tensor): tfjs.Tensor =>
  withoutGradient(tf, [x], (values) => tf.cast(tf.notEqual(values, 0), 'float32'));

const floor = (tf: TF, x: tfjs.Tensor): tfjs.Tensor => withoutGradient(tf, [x], (values) => tf.floor(values));

const reduction =
  (reduce: (tf: TF, x: tfjs.Tensor, axes: number[], keepDims: boolean) => tfjs.Tensor): Compute =>
  (call, x) =>
    reduce(call.tf, x, axesFor(call, 'axis', x.rank), call.settings.keepdims === true);

function variance(tf: TF, x: tfjs.Tensor, axes: number[], keepDims: boolean): tfjs.Tensor {
  return tf.mean(tf.square(tf.sub(x, tf.mean(x, axes, true))), axes, keepDims);
}

const position = (find: (tf: TF, x: tfjs.Tensor, axis: number) => tfjs.Tensor): Compute =>
  reduction((tf, x, axes, keepDims) => {
    const [axis = 0] = axes;
    const found = withoutGradient(tf, [x], (values) => tf.cast(find(tf, values, axis), 'float32'));
    return keepDims ? tf.reshape(found, x.shape.toSpliced(axis, 1, 1)) : found;
  });

/** Operands of one shape, which tf.where() takes. */
function where(call: OperationCall, ...operands: tfjs.Tensor[]): tfjs.Tensor {
  const { tf } = call;
  checkAligned(call, operands);
  const zeros = operands
    .slice(1)
    .reduce((sum, x) => tf.mul(tf.add(sum, tf.zerosLike(x)), 0), tf.zerosLike(operands[0] as tfjs.Tensor));
  const [condition, left, right] = operands.map((x) =>
    x.rank === zeros.rank && x.size === zeros.size ? x : tf.add(x, zeros),
  );
  const chosen = tf.cast(truth(tf, condition as tfjs.Tensor), 'bool');
  return tf.where(chosen, left as tfjs.Tensor, right as tfjs.Tensor);
}

/** Whole numbers become themselves, others the next one towards 0. */
function cast({ tf, settings }: OperationCall, x: tfjs.Tensor): tfjs.Tensor {
  if (settings.dtype === 'float32') return tf.clone(x);
  if (settings.dtype === 'bool') return truth(tf, x);
  return withoutGradient(tf, [x], (values) => tf.mul(tf.sign(values), tf.floor(tf.abs(values))));
}

const activation = (name: string): Compute => elementwise((tf, x) => namedActivation(tf, name).apply(x));

/** Operations by the names of Keras. */
const OPERATIONS: Readonly<Record<string, Compute>> = {
  Add: pairwise((tf, a, b) => tf.add(a, b)),
  Subtract: pairwise((tf, a, b) => tf.sub(a, b)),
  Multiply: pairwise((tf, a, b) => tf.mul(a, b)),
  Divide: pairwise((tf, a, b) => tf.div(a, b)),
  TrueDivide: pairwise((tf, a, b) => tf.div(a, b)),
  FloorDivide: pairwise((tf, a, b) => floor(tf, tf.div(a, b))),
  Mod: pairwise((tf, a, b) => tf.sub(a, tf.mul(b, floor(tf, tf.div(a, b))))),
  Power: pairwise((tf, a, b) => tf.pow(a, b)),
  Maximum: pairwise((tf, a, b) => tf.maximum(a, b)),
  Minimum: pairwise((tf, a, b) => tf.minimum(a, b)),
  Equal: comparison((tf, a, b) => tf.equal(a, b)),
  NotEqual: comparison((tf, a, b) => tf.notEqual(a, b)),
  Greater: comparison((tf, a, b) => tf.greater(a, b)),
  GreaterEqual: comparison((tf, a, b) => tf.greaterEqual(a, b)),
  Less: comparison((tf, a, b) => tf.less(a, b)),
  LessEqual: comparison((tf, a, b) => tf.lessEqual(a, b)),
  LogicalAnd: pairwise((tf, a, b) => tf.mul(truth(tf, a), truth(tf, b))),
  LogicalOr: pairwise((tf, a, b) => truth(tf, tf.add(truth(tf, a), truth(tf, b)))),
  LogicalNot: elementwise((tf, x) => tf.sub(1, truth(tf, x))),
  Where: where,
  Matmul: product,
  Dot: (call, left, right) => {
    if (call.isConstant[1] !== true) throw mixes();
    return product(call, left, right);
  },
  Einsum: einsum,

  Negative: elementwise((tf, x) => tf.neg(x)),
  Absolute: elementwise(magnitude),
  Exp: elementwise((tf, x) => tf.exp(x)),
  Expm1: elementwise((tf, x) => tf.expm1(x)),
  Log: elementwise((tf, x) => tf.log(x)),
  Log1p: elementwise((tf, x) => tf.log1p(x)),
  Sqrt: elementwise((tf, x) => tf.sqrt(x)),
  Rsqrt: elementwise((tf, x) => tf.rsqrt(x)),
  Square: elementwise((tf, x) => tf.square(x)),
  Reciprocal: elementwise((tf, x) => tf.reciprocal(x)),
  Sin: elementwise((tf, x) => tf.sin(x)),
  Cos: elementwise((tf, x) => tf.cos(x)),
  Tan: elementwise((tf, x) => tf.tan(x)),
  Sinh: elementwise((tf, x) => tf.sinh(x)),
  Cosh: elementwise((tf, x) => tf.cosh(x)),
  Tanh: elementwise((tf, x) => tf.tanh(x)),
  Erf: elementwise((tf, x) => tf.erf(x)),
  Sign: elementwise((tf, x) => withoutGradient(tf, [x], (values) => tf.sign(values))),
  Floor: elementwise(floor),
  Ceil: elementwise((tf, x) => tf.neg(floor(tf, tf.neg(x)))),
  ZerosLike: elementwise((tf, x) => withoutGradient(tf, [x], (values) => tf.zerosLike(values))),
  OnesLike: elementwise((tf, x) => withoutGradient(tf, [x], (values) => tf.onesLike(values))),
  Clip: (call, x) => call.tf.clipByValue(x, number(call, 'xMin', -Infinity), number(call, 'xMax', Infinity)),
  Cast: cast,

  Relu: elementwise((tf, x) => tf.relu(x)),
  Relu6: elementwise((tf, x) => tf.clipByValue(x, 0, 6)),
  Sigmoid: elementwise((tf, x) => tf.sigmoid(x)),
  Silu: elementwise((tf, x) => tf.mul(x, tf.sigmoid(x))),
  Softplus: elementwise((tf, x) => tf.softplus(x)),
  Softsign: activation('softsign'),
  Selu: elementwise((tf, x) => tf.selu(x)),
  HardSigmoid: activation('hardSigmoidKeras3'),
  HardSilu: activation('hardSilu'),
  HardTanh: activation('hardTanh'),
  LogSigmoid: activation('logSigmoid'),
  SparsePlus: activation('sparsePlus'),
  SparseSigmoid: activation('sparseSigmoid'),
  TanhShrink: activation('tanhShrink'),
  Elu: (call, x) => elu(call.tf, x, number(call, 'alpha', 1)),
  Celu: (call, x) => celu(call.tf, x, number(call, 'alpha', 1)),
  Gelu: ({ tf, settings }, x) =>
    namedActivation(tf, settings.approximate === false ? 'gelu' : 'geluTanh').apply(x),
  LeakyRelu: (call, x) => call.tf.leakyRelu(x, number(call, 'negativeSlope', 0.2)),
  Squareplus: (call, x) => squareplus(call.tf, x, number(call, 'b', 4)),
  SoftShrink: (call, x) => {
    const { tf } = call;
    const threshold = number(call, 'threshold', 0.5);
    return tf.sub(tf.relu(tf.sub(x, threshold)), tf.relu(tf.sub(-threshold, x)));
  },
  HardShrink: (call, x) => {
    const { tf } = call;
    const threshold = number(call, 'threshold', 0.5);
    return tf.mul(
      x,
      withoutGradient(tf, [x], (values) => tf.cast(tf.greater(tf.abs(values), threshold), 'float32')),
    );
  },
  Threshold: (call, x) => {
    const { tf } = call;
    const isAbove = withoutGradient(tf, [x], (values) =>
      tf.cast(tf.greater(values, number(call, 'threshold', 0)), 'float32'),
    );
    return tf.add(tf.mul(x, isAbove), tf.mul(tf.sub(1, isAbove), number(call, 'defaultValue', 0)));
  },
  Softmax: (call, x) => softmaxAlong(call.tf, x, axesFor(call, 'axis', x.rank)),
  LogSoftmax: (call, x) => logSoftmaxAlong(call.tf, x, axesFor(call, 'axis', x.rank)),
  Glu: (call, x) => gluAlong(call.tf, x, axisFor(call, 'axis', x.rank)),

  Mean: reduction((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  Sum: reduction((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  Max: reduction(maxAlong),
  Min: reduction((tf, x, axes, keep) => tf.neg(maxAlong(tf, tf.neg(x), axes, keep))),
  Prod: reduction((tf, x, axes, keep) => tf.prod(x, axes, keep)),
  Var: reduction(variance),
  Std: reduction((tf, x, axes, keep) => tf.sqrt(variance(tf, x, axes, keep))),
  Logsumexp: reduction((tf, x, axes, keep) => tf.logSumExp(x, axes, keep)),
  Any: reduction((tf, x, axes, keep) => tf.max(truth(tf, x), axes, keep)),
  All: reduction((tf, x, axes, keep) => tf.min(truth(tf, x), axes, keep)),
  Norm: (call, x) => {
    const { tf, settings } = call;
    const axes = axesFor(call, 'axis', x.rank);
    if (typeof settings.ord === 'number' && axes.length > 1) throw new Error('it is the norm of a matrix');
    return tf.sqrt(tf.sum(tf.square(x), axes, settings.keepdims === true));
  },
  Normalize: (call, x) => {
    const { tf } = call;
    const squares = tf.sum(tf.square(x), axesFor(call, 'axis', x.rank), true);
    return tf.mul(x, tf.minimum(tf.rsqrt(squares), 1 / number(call, 'epsilon', 1e-7)));
  },
  Argmax: position((tf, x, axis) => tf.argMax(x, axis)),
  Argmin: position((tf, x, axis) => tf.argMin(x, axis)),
  OneHot: (call, x) => {
    const { tf } = call;
    const classes = Float32Array.from({ length: number(call, 'numClasses', 1) }, (_, i) => i);
    return withoutGradient(tf, [x], (values) =>
      tf.cast(tf.equal(tf.reshape(values, [...x.shape, 1]), tf.tensor1d(classes)), 'float32'),
    );
  },

  ...SHAPE_OPERATIONS,
};

/** Names of the operations, for tests. */
export const COMPUTED_OPERATIONS: readonly string[] = Object.keys(OPERATIONS);

/** Operation on tensors between layers, as Keras 3 writes x * 2. Its outputs have no masks. */
function operationLayer(tf: TF): LayerClass {
  return class Operation extends ownLayer(tf) {
    static readonly className = OPERATION;

    constructor(config: Config) {
      super(config);
      this.supportsMasking = false;
    }

    override computeMask(): tfjs.Tensor {
      return null as never;
    }

    #compute(inputs: tfjs.Tensor[]): tfjs.Tensor | tfjs.Tensor[] {
      const { operation, operands = [], settings = {} } = this.settings;
      const name = String(operation);
      const compute = ownEntry(OPERATIONS, name);
      if (compute === undefined) throw new Error(`Layer ${this.name} (${name}) is an unknown operation.`);
      const list = operands as readonly Operand[];
      const rest = [...inputs];
      const values = list.map((one) =>
        one === null ? (rest.shift() as tfjs.Tensor) : tf.tensor(one as number[]),
      );
      const isConstant = list.map((one) => one !== null);
      try {
        return compute({ tf, settings: settings as Config, isConstant }, ...values);
      } catch (error) {
        throw this.#error(error);
      }
    }

    /** Shapes of the outputs for batches of two sizes, so that an output that mixes samples is found. */
    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape | tfjs.Shape[] {
      const shapes = (Array.isArray(inputShape[0]) ? inputShape : [inputShape]) as tfjs.Shape[];
      if (shapes.some((shape) => shape.slice(1).includes(null)))
        throw new Error(`The shape of the input of ${this.name} is not fully defined.`);
      const [two, three] = [2, 3].map((samples) => this.#shapesFor(shapes, samples));
      if (two === undefined || JSON.stringify(two) !== JSON.stringify(three)) throw this.#error(mixes());
      return two.length === 1 ? (two[0] as tfjs.Shape) : two;
    }

    /** Shapes of the outputs for a number of samples. @throws Error if an output has another number */
    #shapesFor(inputs: readonly tfjs.Shape[], samples: number): tfjs.Shape[] {
      let found: number[][] = [];
      tf.tidy(() => {
        const outputs = this.#compute(
          inputs.map(([, ...rest]) => tf.zeros([samples, ...(rest as number[])])),
        );
        found = [outputs].flat().map(({ shape }) => shape);
      });
      if (found.some((shape) => shape[0] !== samples)) throw this.#error(mixes());
      return found.map((shape): tfjs.Shape => [null, ...shape.slice(1)]);
    }

    #error(cause: unknown): Error {
      const problem = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
      return new Error(
        `Layer ${this.name} (${String(this.settings.operation)}) is an operation on tensors that cannot be computed: ${problem}. Use a layer of Keras.`,
        { cause },
      );
    }

    override call(inputs: Inputs): Inputs {
      return tf.tidy(() => this.#compute([inputs].flat()));
    }
  };
}

export const operationLayers: readonly LayerFactory[] = [operationLayer];
