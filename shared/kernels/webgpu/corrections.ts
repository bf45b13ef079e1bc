import type {
  DataType,
  KernelConfig,
  KernelFunc,
  NamedAttrMap,
  NamedTensorInfoMap,
  TensorInfo,
} from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  argExtremum,
  cumulate,
  overFloats,
  padAxes,
  reduceNothing,
  reverseAxes,
  selectFlat,
  stridedSliceAxes,
  tileAxes,
} from './correct-axes.ts';
import {
  addInParts,
  convolutionGradientInParts,
  convolutionInParts,
  productInParts,
  softmaxInParts,
  transposeLong,
} from './in-parts.ts';
import { reshaped, type Call, type Run } from './kernel-run.ts';
import { segmentSum } from './reproducible.ts';
import { unary, UNARY_NAMES } from './unary.ts';

// Kernels of tfjs' WebGPU backend (4.22) that compute something else than its other backends. Their shaders do not compile, which
// WebGPU reports only as an event while the outputs keep what their memory contained, or they have a wrong index.

/** Operations on two tensors with the shader for a vector and a tensor of several axes. */
const BINARY = [
  ...['Add', 'Sub', 'Multiply', 'RealDiv', 'FloorDiv', 'Mod', 'Pow', 'SquaredDifference', 'Atan2', 'Prelu'],
  ...['Maximum', 'Minimum', 'Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual'],
  ...['LogicalAnd', 'LogicalOr'],
];
/** Axes that the coordinates of a shader can have as a vector; more are a structure, which has no index. */
const MAX_VECTOR_AXES = 4;

const corrected = new WeakSet<object>();

/** Replaces the wrong kernels of the imported WebGPU backend. May be called again. */
export function correctWebGpuKernels(tf: TF): void {
  if (corrected.has(tf.engine())) return;
  corrected.add(tf.engine());
  const stock = (name: string): Run => tf.getKernel(name, 'webgpu').kernelFunc as unknown as Run;
  const cast = castToFloats(stock('Cast'), stock('Multiply'));
  const own = (kernel: KernelFunc): Run => kernel as unknown as Run;
  const same = (dtype: DataType): DataType => dtype;
  const reduction = (name: string, ofNothing: number, outputType: (type: DataType) => DataType): Run =>
    overFloats(reduceNothing(tf, stock(name), ofNothing), cast, outputType);
  const pieces = { slice: stock('Slice'), concat: stock('Concat') };
  const reverse = reverseAxes(stock('Reverse'));
  const corrections: Record<string, Run> = {
    Cast: cast,
    ...Object.fromEntries(BINARY.map((name) => [name, withoutVectors(stock(name))])),
    Transpose: transposeLong(overFloats(stock('Transpose'), cast, same)),
    Sum: reduction('Sum', 0, () => 'int32'),
    Prod: reduction('Prod', 1, () => 'int32'),
    Mean: reduction('Mean', NaN, () => 'float32'),
    Max: reduction('Max', -Infinity, same),
    Min: reduction('Min', Infinity, same),
    All: reduction('All', 1, () => 'bool'),
    Any: reduction('Any', 0, () => 'bool'),
    ArgMax: overFloats(own(argExtremum(tf, 'largest')), cast, () => 'int32'),
    ArgMin: overFloats(own(argExtremum(tf, 'smallest')), cast, () => 'int32'),
    ...Object.fromEntries(
      UNARY_NAMES.map((name) => [name, overFloats(own(unary(tf, name)), cast, () => 'float32')]),
    ),
    Softmax: softmaxInParts(stock('Softmax'), pieces),
    BatchMatMul: productInParts(stock('BatchMatMul'), pieces),
    Conv2D: convolutionInParts(stock('Conv2D'), pieces),
    FusedConv2D: convolutionInParts(stock('FusedConv2D'), pieces),
    Conv2DBackpropInput: convolutionGradientInParts(stock('Conv2DBackpropInput'), pieces),
    AddN: addInParts(stock('AddN')),
    Cumsum: overFloats(cumulate(stock('Cumsum'), reverse), cast, same),
    Cumprod: overFloats(cumulate(stock('Cumprod'), reverse), cast, same),
    UnsortedSegmentSum: overFloats(own(segmentSum(tf, stock('UnsortedSegmentSum'), cast)), cast, same),
    PadV2: padAxes(stock('PadV2')),
    Tile: tileAxes(stock('Tile')),
    Reverse: reverse,
    StridedSlice: stridedSliceAxes(stock('StridedSlice')),
    Transform: transformRounded(stock('Transform')),
    Select: selectFlat(stock('Select')),
    MaxPool3DGrad: maxPool3dGrad(stock('MaxPool'), stock('MaxPoolGrad')),
  };
  for (const [kernelName, run] of Object.entries(corrections)) {
    const config = tf.getKernel(kernelName, 'webgpu');
    tf.unregisterKernel(kernelName, 'webgpu');
    tf.registerKernel({ ...config, kernelFunc: run as unknown as KernelConfig['kernelFunc'] });
  }
}

/** Gives a vector as many axes as the other input, if these are more than four. */
const withoutVectors =
  (stock: Run): Run =>
  (call) => {
    let axes = 0;
    for (const name in call.inputs) axes = Math.max(axes, call.inputs[name]?.shape.length ?? 0);
    if (axes <= MAX_VECTOR_AXES) return stock(call);
    const inputs = Object.entries(call.inputs) as [string, TensorInfo][];
    const ones = new Array<number>(axes - 1).fill(1);
    const widened = inputs.map(([name, input]) => [
      name,
      input.shape.length === 1 ? reshaped(input, [...ones, ...input.shape]) : input,
    ]);
    return stock({ ...call, inputs: Object.fromEntries(widened) as NamedTensorInfoMap });
  };

/** Converts to float32. The stock kernel only names the type, so that the memory still has whole numbers. */
const castToFloats =
  (stock: Run, multiply: Run): Run =>
  (call) => {
    const { inputs, attrs, backend } = call;
    const x = inputs.x as TensorInfo;
    const stored = backend.tensorMap.get(x.dataId)?.dtype ?? '';
    if (attrs.dtype !== 'float32' || !['int32', 'bool'].includes(stored)) return stock(call);
    const one = backend.makeTensorInfo([], 'float32', Float32Array.of(1));
    const output = multiply({ inputs: { a: { ...x, dtype: 'float32' }, b: one }, attrs: {}, backend });
    backend.disposeData(one.dataId);
    return output;
  };

/** Used part of a shader of tfjs. */
interface Program {
  getUserCode(): string;
}

/** Backend that runs shaders of tfjs. */
interface ProgramBackend {
  runWebGPUProgram(program: Program, ...others: unknown[]): TensorInfo;
}

const ROUNDING = `
fn rounded(x: f32) -> f32 {
  let whole = trunc(x);
  return whole + select(0.0, sign(x), abs(x - whole) >= 0.5);
}
fn quotient(a: f32, b: f32) -> f32 {
  let q = trunc(a / b);
  return q + select(0.0, 1.0, (q + 1.0) * b <= a) - select(0.0, 1.0, q * b > a);
}`;

/**
 * Moves pixels with the shader of tfjs, in which halves are rounded away from zero, as TensorFlow and the other backends do, while
 * WGSL rounds them to even numbers; and in which a quotient is exact before it is cut off, while WGSL allows it an error.
 */
const transformRounded =
  (stock: Run): Run =>
  (call) => {
    const stockBackend = call.backend as unknown as ProgramBackend;
    const backend: ProgramBackend = {
      runWebGPUProgram(program, ...others) {
        const code = program
          .getUserCode()
          .replaceAll('round(', 'rounded(')
          .replaceAll(/f32\(i32\(f32\((-?inCoord) \/ (sz2?)\)\)\)/g, 'quotient($1, $2)');
        program.getUserCode = () => ROUNDING + code;
        return stockBackend.runWebGPUProgram(program, ...others);
      },
    };
    return stock({ ...call, backend: backend as unknown as Call['backend'] });
  };

interface PoolAttributes {
  readonly filterSize: number | readonly number[];
  readonly strides: number | readonly number[];
}

/**
 * Gradient of a maximum over windows of three axes as that of two pools of two axes: over height and width, then over depth. Both
 * choose the last of equal values, as the other kernels of this backend do.
 */
const maxPool3dGrad =
  (maxPool: Run, maxPoolGrad: Run): Run =>
  ({ inputs, attrs, backend }) => {
    const { dy, input, output } = inputs as { dy: TensorInfo; input: TensorInfo; output: TensorInfo };
    const { filterSize, strides } = attrs as unknown as PoolAttributes;
    const each = (value: number | readonly number[]): readonly number[] =>
      typeof value === 'number' ? [value, value, value] : value;
    const [filterDepth = 1, ...filter] = each(filterSize);
    const [strideDepth = 1, ...stride] = each(strides);
    const [samples = 0, depth = 0, height = 0, width = 0, channels = 0] = input.shape;
    const [, outDepth = 0, outHeight = 0, outWidth = 0] = dy.shape;
    const cells = outHeight * outWidth;
    const overPlanes = { ...attrs, filterSize: filter, strides: stride } as unknown as NamedAttrMap;
    const overDepth = {
      ...attrs,
      filterSize: [filterDepth, 1],
      strides: [strideDepth, 1],
    } as unknown as NamedAttrMap;

    const planes = reshaped(input, [samples * depth, height, width, channels]);
    const largest = maxPool({ inputs: { x: planes }, attrs: overPlanes, backend });
    const columns = reshaped(largest, [samples, depth, cells, channels]);
    const asColumns = (info: TensorInfo): TensorInfo => reshaped(info, [samples, outDepth, cells, channels]);
    const columnsGradient = maxPoolGrad({
      inputs: { dy: asColumns(dy), input: columns, output: asColumns(output) },
      attrs: overDepth,
      backend,
    });
    const gradient = maxPoolGrad({
      inputs: { dy: reshaped(columnsGradient, largest.shape), input: planes, output: largest },
      attrs: overPlanes,
      backend,
    });
    for (const { dataId } of [largest, columnsGradient]) backend.disposeData(dataId);
    return reshaped(gradient, input.shape);
  };
