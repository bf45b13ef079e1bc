import { type KernelFunc, type TensorInfo, type WasmBackend, kernelFunc, pointerOf } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { sizeOf } from '../../model/layout.ts';
import type { SimdKernels } from './simd.ts';

interface SumInputs {
  readonly x: TensorInfo;
}

interface SumAttrs {
  readonly axis: number | number[] | undefined;
  readonly keepDims: boolean;
}

/**
 * Sum of a float32 tensor over adjacent axes that are not the last, as in the gradient of a bias. It adds blocks of rows down
 * the columns; tfjs' own kernel transposes first and adds value by value. tfjs' own kernel computes other axes and types, and
 * all sums without SIMD.
 */
export function sum(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  return kernelFunc<SumInputs, SumAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { x } = inputs;
    const axes = tf.util.parseAxisParam(attrs.axis as number | number[], x.shape).sort((p, q) => p - q);
    const [first = 0] = axes;
    const adjacent = axes.every((axis, i) => axis === first + i);
    const before = x.shape.slice(0, first);
    const behind = x.shape.slice(first + axes.length);
    const kernels = simd(backend);
    const isSupported = adjacent && axes.length > 0 && behind.length > 0 && x.dtype === 'float32';
    if (kernels === null || !isSupported || sizeOf(x.shape) === 0) {
      return stock(call as unknown as Parameters<KernelFunc>[0]);
    }
    const ones = attrs.keepDims ? axes.map(() => 1) : [];
    const out = backend.makeOutput([...before, ...ones, ...behind], 'float32');
    const columns = sizeOf(behind);
    const times = sizeOf(before);
    const rows = sizeOf(x.shape) / columns / times;
    const from = pointerOf(backend, x);
    const to = pointerOf(backend, out);
    for (let i = 0; i < times; i++) {
      kernels.sumRows(from + 4 * i * rows * columns, to + 4 * i * columns, rows, columns);
    }
    return out;
  });
}

interface SegmentSumInputs {
  readonly x: TensorInfo;
  readonly segmentIds: TensorInfo;
}

interface SegmentSumAttrs {
  readonly numSegments: number;
}

/**
 * UnsortedSegmentSum: x [n, ...] and segmentIds [n] to [numSegments, ...], the sums of the rows with each id; rows with
 * other ids are dropped. It is the gradient of gather and of an embedding; tfjs' wasm backend lacks this kernel.
 */
export function unsortedSegmentSum(): KernelFunc {
  return kernelFunc<SegmentSumInputs, SegmentSumAttrs>(({ inputs, attrs, backend }) => {
    const { x, segmentIds } = inputs;
    if (segmentIds.shape.length !== 1) {
      throw new Error(
        `unsortedSegmentSum on the WebAssembly backend takes segment ids of rank 1, got [${segmentIds.shape.join()}].`,
      );
    }
    const rest = x.shape.slice(1);
    const out = backend.makeOutput([attrs.numSegments, ...rest], x.dtype);
    const values = backend.typedArrayFromHeap(x);
    const ids = backend.typedArrayFromHeap(segmentIds);
    addRows(values, ids, sizeOf(rest), attrs.numSegments, backend.typedArrayFromHeap(out).fill(0));
    return out;
  });
}

type Values = ReturnType<WasmBackend['typedArrayFromHeap']>;

function addRows(values: Values, ids: Values, width: number, segments: number, sums: Values): void {
  ids.forEach((id, row) => {
    if (id < 0 || id >= segments) return;
    for (let i = 0; i < width; i++) {
      sums[id * width + i] = (sums[id * width + i] as number) + (values[row * width + i] as number);
    }
  });
}
