import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs';
import { reshaped, type Run } from './kernel-run.ts';

// Kernels of tfjs' WebGPU backend (4.22) that are wrong for some numbers of axes, or for whole numbers along some axes.

/** Axes that the shaders of tfjs can index; of more, coordinates are a structure, which has no index. */
const MAX_INDEXED_AXES = 4;
/** Workgroups that WebGPU allows along an axis, and the values that one of them transposes along it. */
const MAX_WORKGROUPS = 65_535;
const TRANSPOSED_TILE = 16;

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

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

/** Index of the largest or smallest value. Along the only axis, the stock kernel returns a vector in place of a scalar. */
export const withoutReducedAxis =
  (stock: Run): Run =>
  (call) => {
    const output = stock(call);
    return (call.inputs.x as TensorInfo).shape.length === 1 ? reshaped(output, []) : output;
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

/** Transposes a long matrix with the shader for three axes. That for two has a limit to the workgroups along each. */
export const transposeLong =
  (stock: Run): Run =>
  (call) => {
    const x = call.inputs.x as TensorInfo;
    const [rows = 0, columns = 0] = x.shape;
    const isLong = Math.max(rows, columns) > MAX_WORKGROUPS * TRANSPOSED_TILE;
    if (x.shape.length !== 2 || !isLong || (call.attrs.perm as number[])[0] === 0) return stock(call);
    const output = stock({
      ...call,
      inputs: { x: reshaped(x, [1, rows, columns]) },
      attrs: { perm: [0, 2, 1] },
    });
    return reshaped(output, [columns, rows]);
  };
