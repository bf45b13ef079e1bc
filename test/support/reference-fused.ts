// Convolution with bias, ReLU and pool, and its gradients, in float64.
import {
  convFilterGradient,
  convForward,
  convInputGradient,
  maxPool,
  maxPoolGradient,
  sized,
  type ConvGeometry,
} from './reference-kernels.ts';

type Values = ArrayLike<number>;

/** Ops behind a convolution. */
export interface Behind {
  readonly relu: boolean;
  /** Whether a max-pool of 2 x 2 with stride 2 follows, which drops a last odd row or column. */
  readonly pool: boolean;
}

export interface FusedResult {
  readonly y: Float64Array;
  /** Gradient of the output with 0 where rounding could decide through which value it flows. */
  readonly dy: Float32Array;
  readonly byInput: Float64Array;
  readonly byFilter: Float64Array;
  readonly byBias: Float64Array;
}

/** Distance of two values that float32 sums of products of values in -1 .. 1 keep in order. */
const DISTINCT = 1e-4;

/**
 * Forward and backward pass.
 * @param dys gradient of the output
 */
export function fusedReference(
  [x, filter, bias, dys]: readonly [x: Values, filter: Values, bias: Values, dys: Values],
  g: ConvGeometry,
  { relu, pool }: Behind,
): FusedResult {
  const { outHeight, outWidth } = sized(g);
  const sums = convForward(x, filter, g).map((value, i) => value + bias[i % g.filters]!);
  const active = relu ? sums.map((value) => Math.max(0, value)) : sums;
  const window: ConvGeometry = {
    ...{ batch: g.batch, height: outHeight, width: outWidth, channels: g.filters, filters: g.filters },
    ...{ filterHeight: 2, filterWidth: 2, strideY: 2, strideX: 2, pad: 'valid' },
  };
  const y = pool ? maxPool(active, window) : active;
  const dy = Float32Array.from(dys);
  let dSums: Float64Array = Float64Array.from(dy);
  if (pool) {
    // Without the largest value of each window, its maximum is the second.
    const isLargest = maxPoolGradient(sums, new Float64Array(dy.length).fill(1), window);
    const second = maxPool(
      sums.map((value, i) => (isLargest[i] === 1 ? -Infinity : value)),
      window,
    );
    const first = maxPool(sums, window);
    first.forEach((value, i) => {
      if (value - second[i]! < DISTINCT || (relu && Math.abs(value) < DISTINCT)) dy[i] = 0;
    });
    dSums = maxPoolGradient(sums, dy, window);
  } else if (relu) {
    sums.forEach((value, i) => {
      if (Math.abs(value) < DISTINCT) dy[i] = 0;
    });
    dSums = Float64Array.from(dy);
  }
  if (relu) dSums = dSums.map((value, i) => (sums[i]! > 0 ? value : 0));
  const byBias = new Float64Array(g.filters);
  dSums.forEach((value, i) => (byBias[i % g.filters]! += value));
  return {
    y,
    dy,
    byInput: convInputGradient(filter, dSums, g),
    byFilter: convFilterGradient(x, dSums, g),
    byBias,
  };
}
