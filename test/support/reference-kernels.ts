// Slow reference kernels in float64: one loop for each index of each formula.

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

/** Calls back for each product of the convolution with the flat indices of input, filter and output. */
function forEachProduct(
  g: ConvGeometry,
  multiplier: number | undefined,
  use: (x: number, filter: number, y: number) => void,
): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const outChannels = multiplier === undefined ? g.filters : g.channels * multiplier;
  for (let n = 0; n < g.batch; n++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++)
        for (let ky = 0; ky < g.filterHeight; ky++)
          for (let kx = 0; kx < g.filterWidth; kx++)
            for (let c = 0; c < g.channels; c++) {
              const y = oy * g.strideY + ky - top;
              const x = ox * g.strideX + kx - left;
              if (y < 0 || y >= g.height || x < 0 || x >= g.width) continue;
              const xAt = ((n * g.height + y) * g.width + x) * g.channels + c;
              const outAt = ((n * outHeight + oy) * outWidth + ox) * outChannels;
              const tap = (ky * g.filterWidth + kx) * g.channels + c;
              const many = multiplier ?? g.filters;
              const first = multiplier === undefined ? 0 : c * multiplier;
              for (let f = 0; f < many; f++) use(xAt, tap * many + f, outAt + first + f);
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
  forEachProduct(g, multiplier, (xAt, filterAt, yAt) => (out[filterAt]! += x[xAt]! * dy[yAt]!));
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
  forEachProduct(g, multiplier, (xAt, filterAt, yAt) => (out[xAt]! += filter[filterAt]! * dy[yAt]!));
  return out;
}

/** Convolution; with a multiplier, depthwise. */
export function convForward(x: Values, filter: Values, g: ConvGeometry, multiplier?: number): Float64Array {
  const { outHeight, outWidth } = sized(g);
  const outChannels = multiplier === undefined ? g.filters : g.channels * multiplier;
  const out = new Float64Array(g.batch * outHeight * outWidth * outChannels);
  forEachProduct(g, multiplier, (xAt, filterAt, yAt) => (out[yAt]! += x[xAt]! * filter[filterAt]!));
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

/** Gradient of a max-pool's input: that of a window goes to the first of its largest inputs. channels = filters. */
export function maxPoolGradient(x: Values, dy: Values, g: ConvGeometry): Float64Array {
  const { outHeight, outWidth, top, left } = sized(g);
  const out = new Float64Array(g.batch * g.height * g.width * g.channels);
  for (let n = 0; n < g.batch; n++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++)
        for (let c = 0; c < g.channels; c++) {
          let best = -1;
          for (let ky = 0; ky < g.filterHeight; ky++)
            for (let kx = 0; kx < g.filterWidth; kx++) {
              const y = oy * g.strideY + ky - top;
              const at = ((n * g.height + y) * g.width + ox * g.strideX + kx - left) * g.channels + c;
              const inside = ox * g.strideX + kx - left;
              if (y < 0 || y >= g.height || inside < 0 || inside >= g.width) continue;
              if (best < 0 || x[at]! > x[best]!) best = at;
            }
          out[best]! += dy[((n * outHeight + oy) * outWidth + ox) * g.channels + c]!;
        }
  return out;
}

/** Calls back for each pooling window that overlaps the image, with the flat indices of its output and its cells. */
function forEachWindow(g: ConvGeometry, use: (out: number, cells: readonly number[]) => void): void {
  const { outHeight, outWidth, top, left } = sized(g);
  for (let n = 0; n < g.batch; n++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++)
        for (let c = 0; c < g.channels; c++) {
          const cells: number[] = [];
          for (let y = oy * g.strideY - top; y < oy * g.strideY - top + g.filterHeight; y++)
            for (let x = ox * g.strideX - left; x < ox * g.strideX - left + g.filterWidth; x++)
              if (y >= 0 && y < g.height && x >= 0 && x < g.width)
                cells.push(((n * g.height + y) * g.width + x) * g.channels + c);
          use(((n * outHeight + oy) * outWidth + ox) * g.channels + c, cells);
        }
}

const pooled = (g: ConvGeometry): Float64Array => {
  const { outHeight, outWidth } = sized(g);
  return new Float64Array(g.batch * outHeight * outWidth * g.channels);
};

/** Mean of the cells inside the image. channels = filters. */
export function averagePool(x: Values, g: ConvGeometry): Float64Array {
  const out = pooled(g);
  forEachWindow(g, (at, cells) => (out[at] = cells.reduce((sum, cell) => sum + x[cell]!, 0) / cells.length));
  return out;
}

/** Gradient of averagePool. */
export function averagePoolGradient(dy: Values, g: ConvGeometry): Float64Array {
  const out = new Float64Array(g.batch * g.height * g.width * g.channels);
  forEachWindow(g, (at, cells) => cells.forEach((cell) => (out[cell]! += dy[at]! / cells.length)));
  return out;
}

/** Largest of the cells inside the image. channels = filters. */
export function maxPool(x: Values, g: ConvGeometry): Float64Array {
  const out = pooled(g);
  forEachWindow(g, (at, cells) => (out[at] = Math.max(...cells.map((cell) => x[cell]!))));
  return out;
}

/** Largest difference, relative to the largest expected value. */
export function relativeError(actual: Values, expected: Values): number {
  let difference = actual.length === expected.length ? 0 : Infinity;
  let scale = 1e-30;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i]! - expected[i]!);
    difference = Number.isNaN(d) ? Infinity : Math.max(difference, d);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return difference / scale;
}
