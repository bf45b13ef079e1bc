import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import { kernelFunc } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';

interface SegmentSumInputs {
  readonly x: TensorInfo;
  readonly segmentIds: TensorInfo;
}

interface SegmentSumAttrs {
  readonly numSegments: number;
}

/**
 * UnsortedSegmentSum: x [n, ...] and segmentIds [n] to [numSegments, ...], the sums of the rows with each id; rows
 * with other ids are dropped. It is the gradient of gather, and so of an embedding; tfjs' wasm backend has none.
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
