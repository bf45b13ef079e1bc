import type { KernelFunc, TensorInfo, Tf, WasmBackend } from './backend.ts';
import { kernelFunc, pointerOf } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import type { SimdKernels } from './simd.ts';

interface Inputs {
  readonly x: TensorInfo;
}

interface Attrs {
  readonly axis: number | number[] | undefined;
  readonly keepDims: boolean;
}

/**
 * Sum over the leading axes of a float32 tensor, as in the gradient of a bias: straight down the columns, where
 * tfjs transposes first. Other axes and types, and machines without SIMD, go to tfjs' own.
 */
export function sum(
  tf: Tf,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  return kernelFunc<Inputs, Attrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { x } = inputs;
    const axes = tf.util.parseAxisParam(attrs.axis as number | number[], x.shape).sort((p, q) => p - q);
    const leading = axes.every((axis, i) => axis === i);
    const kept = x.shape.slice(axes.length);
    const kernels = simd(backend);
    const covered = leading && axes.length > 0 && kept.length > 0 && x.dtype === 'float32';
    if (kernels === null || !covered || sizeOf(x.shape) === 0) {
      return stock(call as unknown as Parameters<KernelFunc>[0]);
    }
    const columns = sizeOf(kept);
    const ones = attrs.keepDims ? axes.map(() => 1) : [];
    const out = backend.makeOutput([...ones, ...kept], 'float32');
    const rows = sizeOf(x.shape) / columns;
    kernels.sumRows(pointerOf(backend, x), pointerOf(backend, out), rows, columns);
    return out;
  });
}
