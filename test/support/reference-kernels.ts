// Reference kernels in float64: one loop for each index of each formula.

export interface ConvGeometry {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly filterHeight: number;
  readonly filterWidth: number;
  readonly filters: number;
  readonly strideY: number;
  readonly strideX: number;
  readonly pad: Pad;
}

export type Pad = 'valid' | 'same' | { top: number; bottom: number; left: number; right: number };

export interface Sized {
  readonly outHeight: number;
  readonly outWidth: number;
  readonly top: number;
  readonly left: number;
}

/** Output size and leading padding by TensorFlow's rules for 'same' and 'valid'. */
export function sized(g: ConvGeometry): Sized {
  const axis = (length: number, filter: number, stride: number, before: number, after: number) => {
    if (g.pad !== 'same')
      return [Math.floor((length + before + after - filter) / stride) + 1, before] as const;
    const out = Math.ceil(length / stride);
    return [out, Math.floor(Math.max(0, (out - 1) * stride + filter - length) / 2)] as const;
  };
  const pad = typeof g.pad === 'string' ? { top: 0, bottom: 0, left: 0, right: 0 } : g.pad;
  const [outHeight, top] = axis(g.height, g.filterHeight, g.strideY, pad.top, pad.bottom);
  const [outWidth, left] = axis(g.width, g.filterWidth, g.strideX, pad.left, pad.right);
  return { outHeight, outWidth, top, left };
}

/**
 * Calls back for each input that meets a cell of a filter, with the flat indices of the input, of the first of its filter's values
 * and of the first of its outputs. `count` values of the filter and outputs follow one another.
 */
function forEachTap(
  g: ConvGeometry,
  multiplier: number | undefined,
  use: (x: number, filter: number, y: number, count: number) => void,
): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const count = multiplier ?? g.filters;
  const outChannels = multiplier === undefined ? g.filters : g.channels * multiplier;
  const step = multiplier ?? 0;
  for (let n = 0; n < g.batch; n++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++) {
        const outAt = ((n * outHeight + oy) * outWidth + ox) * outChannels;
        for (let ky = 0; ky < g.filterHeight; ky++) {
          const y = oy * g.strideY + ky - top;
          if (y < 0 || y >= g.height) continue;
          for (let kx = 0; kx < g.filterWidth; kx++) {
            const x = ox * g.strideX + kx - left;
            if (x < 0 || x >= g.width) continue;
            const xAt = ((n * g.height + y) * g.width + x) * g.channels;
            const tap = (ky * g.filterWidth + kx) * g.channels;
            for (let c = 0; c < g.channels; c++) use(xAt + c, (tap + c) * count, outAt + c * step, count);
          }
        }
      }
}

type Values = ArrayLike<number>;

/** Gradient of the filter; with a multiplier, of a depthwise filter. */
export function convFilterGradient(
  x: Values,
  dy: Values,
  g: ConvGeometry,
  multiplier?: number,
): Float64Array {
  const many = multiplier ?? g.filters;
  const out = new Float64Array(g.filterHeight * g.filterWidth * g.channels * many);
  forEachTap(g, multiplier, (xAt, filterAt, yAt, count) => {
    const value = x[xAt]!;
    for (let f = 0; f < count; f++) out[filterAt + f]! += value * dy[yAt + f]!;
  });
  return out;
}

/** Gradient of the input; with a multiplier, of a depthwise convolution. */
export function convInputGradient(
  filter: Values,
  dy: Values,
  g: ConvGeometry,
  multiplier?: number,
): Float64Array {
  const out = new Float64Array(g.batch * g.height * g.width * g.channels);
  forEachTap(g, multiplier, (xAt, filterAt, yAt, count) => {
    let sum = out[xAt]!;
    for (let f = 0; f < count; f++) sum += filter[filterAt + f]! * dy[yAt + f]!;
    out[xAt] = sum;
  });
  return out;
}

/** Convolution; with a multiplier, depthwise. */
export function convForward(x: Values, filter: Values, g: ConvGeometry, multiplier?: number): Float64Array {
  const { outHeight, outWidth } = sized(g);
  const outChannels = multiplier === undefined ? g.filters : g.channels * multiplier;
  const out = new Float64Array(g.batch * outHeight * outWidth * outChannels);
  forEachTap(g, multiplier, (xAt, filterAt, yAt, count) => {
    const value = x[xAt]!;
    for (let f = 0; f < count; f++) out[yAt + f]! += value * filter[filterAt + f]!;
  });
  return out;
}

/** Matrix product of [m, k] and [k, n], each stored plain or transposed. */
export function matMul(
  a: Values,
  b: Values,
  [m, k, n]: readonly [number, number, number],
  transposeA: boolean,
  transposeB: boolean,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++)
      for (let p = 0; p < k; p++)
        out[i * n + j]! += a[transposeA ? p * m + i : i * k + p]! * b[transposeB ? j * k + p : p * n + j]!;
  return out;
}

/** Calls back for each pooling window that overlaps the image, with the flat indices of its output and its cells. */
function forEachWindow(g: ConvGeometry, use: (out: number, cells: readonly number[]) => void): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const cells: number[] = [];
  for (let n = 0; n < g.batch; n++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++) {
        const [y, x] = [oy * g.strideY - top, ox * g.strideX - left];
        const [endY, endX] = [Math.min(y + g.filterHeight, g.height), Math.min(x + g.filterWidth, g.width)];
        for (let c = 0; c < g.channels; c++) {
          cells.length = 0;
          for (let cy = Math.max(0, y); cy < endY; cy++)
            for (let cx = Math.max(0, x); cx < endX; cx++)
              cells.push(((n * g.height + cy) * g.width + cx) * g.channels + c);
          use(((n * outHeight + oy) * outWidth + ox) * g.channels + c, cells);
        }
      }
}

const pooled = (g: ConvGeometry): Float64Array => {
  const { outHeight, outWidth } = sized(g);
  return new Float64Array(g.batch * outHeight * outWidth * g.channels);
};

/** Mean of the cells inside the image. channels = filters. */
export function averagePool(x: Values, g: ConvGeometry): Float64Array {
  const out = pooled(g);
  forEachWindow(g, (at, cells) => {
    let sum = 0;
    for (const cell of cells) sum += x[cell]!;
    out[at] = sum / cells.length;
  });
  return out;
}

/** Gradient of averagePool. */
export function averagePoolGradient(dy: Values, g: ConvGeometry): Float64Array {
  const out = new Float64Array(g.batch * g.height * g.width * g.channels);
  forEachWindow(g, (at, cells) => {
    const share = dy[at]! / cells.length;
    for (const cell of cells) out[cell]! += share;
  });
  return out;
}

/** Largest of the cells inside the image. channels = filters. */
export function maxPool(x: Values, g: ConvGeometry): Float64Array {
  const out = pooled(g);
  forEachWindow(g, (at, cells) => {
    let largest = -Infinity;
    for (const cell of cells) largest = Math.max(largest, x[cell]!);
    out[at] = largest;
  });
  return out;
}

/** Gradient of a max-pool's input: that of a window goes to the first of its largest inputs. channels = filters. */
export function maxPoolGradient(x: Values, dy: Values, g: ConvGeometry): Float64Array {
  const out = new Float64Array(g.batch * g.height * g.width * g.channels);
  forEachWindow(g, (at, cells) => {
    let best = cells[0]!;
    for (const cell of cells) if (x[cell]! > x[best]!) best = cell;
    out[best]! += dy[at]!;
  });
  return out;
}

/**
 * Largest difference, relative to the largest expected value, or to the usual size of such a sum if that is larger: the terms of a single
 * sum may cancel.
 * @param terms products of two values in -1 .. 1 that each value sums; their root mean square is 1/3
 */
export function relativeError(actual: Values, expected: Values, terms = 0): number {
  let difference = actual.length === expected.length ? 0 : Infinity;
  let scale = Math.max(1e-30, Math.sqrt(terms) / 3);
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i]! - expected[i]!);
    difference = Number.isNaN(d) ? Infinity : Math.max(difference, d);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return difference / scale;
}
