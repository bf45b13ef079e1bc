import type { KernelFunc, NamedAttrMap, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';
import { product, reshaped, type Run } from './kernel-run.ts';

// Kernels of tfjs' WebGPU backend (4.22) that are wrong for some numbers of axes, or for whole numbers along some axes.

/** Axes that the shaders of tfjs can index; of more, coordinates are a structure, which has no index. */
const MAX_INDEXED_AXES = 4;

/** Change of one axis: of the middle one of [before, size, after]. */
interface AxisChange {
  readonly axis: number;
  /** Its size afterwards. */
  readonly size: number;
  readonly attrs: NamedAttrMap;
}

/**
 * Runs a kernel for one axis after the other if the input has more than four axes.
 * @param changesOf lists what the attributes change
 */
const axisByAxis =
  (stock: Run, changesOf: (attrs: NamedAttrMap, shape: readonly number[]) => AxisChange[]): Run =>
  (call) => {
    const { attrs, backend } = call;
    const x = call.inputs.x as TensorInfo;
    if (x.shape.length <= MAX_INDEXED_AXES) return stock(call);
    let current: TensorInfo = x;
    for (const { axis, size, attrs: own } of changesOf(attrs, x.shape)) {
      const { shape } = current;
      const around = [product(shape.slice(0, axis)), shape[axis] ?? 1, product(shape.slice(axis + 1))];
      const middle = reshaped(current, around);
      const changed = stock({ inputs: { x: middle }, attrs: { ...attrs, ...own }, backend });
      if (current !== x) backend.disposeData(current.dataId);
      current = reshaped(
        changed,
        shape.map((length, i) => (i === axis ? size : length)),
      );
    }
    if (current !== x) return current;
    backend.incRef(x.dataId);
    return reshaped(x, x.shape);
  };

export const padAxes = (stock: Run): Run =>
  axisByAxis(stock, ({ paddings }, shape) =>
    (paddings as [number, number][]).flatMap(([before, after], axis) => {
      const around = [
        [0, 0],
        [before, after],
        [0, 0],
      ];
      const size = before + (shape[axis] ?? 0) + after;
      return before + after === 0 ? [] : [{ axis, size, attrs: { paddings: around } as never }];
    }),
  );

export const tileAxes = (stock: Run): Run =>
  axisByAxis(stock, ({ reps }, shape) =>
    (reps as number[]).flatMap((times, axis) =>
      times === 1 ? [] : [{ axis, size: times * (shape[axis] ?? 0), attrs: { reps: [1, times, 1] } }],
    ),
  );

/** Refuses what the stock shader cannot compute; nothing in gradcast needs it. */
export const stridedSliceAxes =
  (stock: Run): Run =>
  (call) => {
    const { shape } = call.inputs.x as TensorInfo;
    if (shape.length <= MAX_INDEXED_AXES) return stock(call);
    throw new Error(
      `WebGPU takes no part with strides of a tensor of ${shape.length} axes; ${MAX_INDEXED_AXES} are the most. Use another engine.`,
    );
  };

export const reverseAxes = (stock: Run): Run =>
  axisByAxis(stock, ({ dims }, shape) =>
    [...new Set([dims].flat() as number[])].map((dim) => {
      const axis = dim < 0 ? dim + shape.length : dim;
      return { axis, size: shape[axis] ?? 0, attrs: { dims: [1] } };
    }),
  );

/**
 * Computes whole numbers and booleans as floats, which have all of their values up to 2^24. The stock kernel computes with floats
 * too, but transposes before, for which its shader does not compile.
 * @param outputType type of the result, given that of the input
 */
export const overFloats =
  (stock: Run, cast: Run, outputType: (inputType: TensorInfo['dtype']) => TensorInfo['dtype']): Run =>
  (call) => {
    const x = call.inputs.x as TensorInfo;
    if (x.dtype === 'float32') return stock(call);
    const { backend } = call;
    const floats = cast({ inputs: { x }, attrs: { dtype: 'float32' }, backend });
    const output = stock({ ...call, inputs: { ...call.inputs, x: floats } });
    backend.disposeData(floats.dataId);
    const dtype = outputType(x.dtype);
    if (output.dtype === dtype) return output;
    const converted = cast({ inputs: { x: output }, attrs: { dtype }, backend });
    backend.disposeData(output.dataId);
    return converted;
  };

/** Reduces tensors without values, such as [0, 3], to one value everywhere: the stock kernel divides by their size. */
export const reduceNothing =
  (tf: TF, stock: Run, value: number): Run =>
  (call) => {
    const x = call.inputs.x as TensorInfo;
    const { axis, keepDims } = call.attrs as { axis: number | number[]; keepDims?: boolean };
    const axes = tf.util.parseAxisParam(axis, x.shape);
    const kept = x.shape.map((length, i) => (axes.includes(i) ? 1 : length));
    if (product(x.shape) > 0 || product(kept) === 0) return stock(call);
    const shape = keepDims === true ? kept : kept.filter((_, i) => !axes.includes(i));
    return call.backend.makeTensorInfo(shape, 'float32', new Float32Array(product(kept)).fill(value));
  };

/**
 * Sums or products of all values up to each. Those from the end are computed by way of those from the start: the stock shader for
 * them contains the length of the axis, and is used again for tensors of other lengths.
 */
export const cumulate =
  (stock: Run, reverse: Run): Run =>
  ({ inputs, attrs, backend }) => {
    const x = inputs.x as TensorInfo;
    const axis = attrs.axis as number;
    const flip = (tensor: TensorInfo): TensorInfo =>
      reverse({ inputs: { x: tensor }, attrs: { dims: [axis] }, backend });
    const forwards = (tensor: TensorInfo): TensorInfo => {
      const { shape } = tensor;
      const own = { ...attrs, reverse: false };
      if (shape.length <= MAX_INDEXED_AXES) return stock({ inputs: { x: tensor }, attrs: own, backend });
      const around = [product(shape.slice(0, axis)), shape[axis] ?? 1, product(shape.slice(axis + 1))];
      const output = stock({ inputs: { x: reshaped(tensor, around) }, attrs: { ...own, axis: 1 }, backend });
      return reshaped(output, shape);
    };
    if (attrs.reverse !== true) return forwards(x);
    const flipped = flip(x);
    const cumulated = forwards(flipped);
    const output = flip(cumulated);
    for (const { dataId } of [flipped, cumulated]) backend.disposeData(dataId);
    return output;
  };

/** Choice between two tensors of the same shape, with one axis if they have more than four. */
export const selectFlat =
  (stock: Run): Run =>
  (call) => {
    const { condition, t, e } = call.inputs as Record<'condition' | 't' | 'e', TensorInfo>;
    if (t.shape.length <= MAX_INDEXED_AXES || condition.shape.length !== t.shape.length) return stock(call);
    const flat = (tensor: TensorInfo): TensorInfo => reshaped(tensor, [product(tensor.shape)]);
    const inputs = { condition: flat(condition), t: flat(t), e: flat(e) };
    return reshaped(stock({ ...call, inputs }), t.shape);
  };

/** Attributes of ArgMax and ArgMin. */
interface ArgAttrs {
  readonly axis: number | readonly number[];
}

/** Threads of a workgroup. */
const THREADS = 64;

/**
 * Index of the largest or smallest value along an axis: of the first, if several are equal, as the other backends have it. That of
 * tfjs takes any of them along 32 values and more, and returns a vector in place of a scalar.
 */
export const argExtremum = (tf: TF, which: 'largest' | 'smallest'): KernelFunc =>
  kernelFunc<{ readonly x: TensorInfo }, ArgAttrs>(({ inputs: { x }, attrs, backend }) => {
    const [axis = 0] = tf.util.parseAxisParam([attrs.axis].flat(), x.shape);
    const count = x.shape[axis] ?? 1;
    const after = tf.util.sizeFromShape(x.shape.slice(axis + 1));
    const output = backend.makeTensorInfo(
      x.shape.filter((_, i) => i !== axis),
      'int32',
    );
    const size = tf.util.sizeFromShape(output.shape);
    dispatch(tf, backend, {
      name: `Arg-${which}`,
      key: `Arg-${which}`,
      code: () => argCode(which === 'largest' ? '>' : '<'),
      inputs: [x],
      outputs: [output],
      uniforms: [size, count, after],
      workgroups: Math.ceil(size / THREADS),
    });
    return output;
  });

/** A thread computes one index. A shader may take NaN for no number that it is greater than. */
const argCode = (isBetter: '>' | '<'): string => `
struct Sizes { size: u32, count: u32, after: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> indices: array<i32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = ${WORKGROUP_NUMBER} * ${THREADS}u + thread;
  if (i >= sizes.size) { return; }
  let start = i / sizes.after * sizes.count * sizes.after + i % sizes.after;
  var best = x[start];
  var index = 0u;
  for (var k = 1u; k < sizes.count; k++) {
    let value = x[start + k * sizes.after];
    if (value ${isBetter} best) { best = value; index = k; }
  }
  indices[i] = i32(index);
}`;
