// Winograd's F(4x4, 3x3): 36 products for 4 x 4 outputs of 3 x 3 taps, where plain sums take 144 (Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016). The points are 0, 5/8, -5/8, 3/2, -3/2 and infinity, with which the
// error is less than half of that with 0, 1, -1, 2, -2.
import { multiplyAdd } from './multiply-add';
import { rowTile } from './tile';

const A: f64 = 0.625;
const B: f64 = 1.5;
const AA: f64 = A * A;
const BB: f64 = B * B;

/** Tiles whose transforms are computed at once; they stay in the second-level cache. */
const BLOCK: i32 = 20;

/** Bytes of the transformed filters: 36 times panels [ceil(n / 8)][k][8]. */
export function winogradFourFilterBytes(k: i32, n: i32): usize {
  return (<usize>(36 * k * ((n + 7) >> 3))) << 5;
}

/**
 * Transforms filters [3][3][channels][filters] for winogradFourConv. Turned, they are those of the gradient by the
 * input: by half a turn, channels and filters exchanged.
 */
export function winogradFourFilters(filter: usize, channels: i32, filters: i32, turned: bool, to: usize): void {
  const k = turned ? filters : channels;
  const n = turned ? channels : filters;
  const kStep: usize = turned ? 4 : (<usize>filters) << 2;
  const nStep: usize = turned ? (<usize>filters) << 2 : 4;
  const tap = (<usize>(channels * filters)) << 2;
  const xi = (<usize>(k * ((n + 7) >> 3))) << 5;
  for (let j = 0; j < n; j += 8) {
    for (let i = 0; i < k; ++i) {
      for (let e = 0; e < 8; ++e, to += 4) {
        const from = filter + <usize>i * kStep + <usize>(j + e) * nStep;
        for (let y = 0; y < 6; ++y) {
          for (let x = 0; x < 6; ++x) {
            const at = to + <usize>(6 * y + x) * xi;
            store<f32>(at, j + e < n ? <f32>transformedTap(from, tap, y, x, turned) : 0);
          }
        }
      }
    }
  }
}

function transformedTap(from: usize, tap: usize, y: i32, x: i32, turned: bool): f64 {
  return tapAt(
    y,
    tapAt(x, tapOf(from, tap, 0, turned), tapOf(from, tap, 1, turned), tapOf(from, tap, 2, turned)),
    tapAt(x, tapOf(from, tap, 3, turned), tapOf(from, tap, 4, turned), tapOf(from, tap, 5, turned)),
    tapAt(x, tapOf(from, tap, 6, turned), tapOf(from, tap, 7, turned), tapOf(from, tap, 8, turned)),
  );
}

// @ts-ignore: decorator
@inline
function tapOf(from: usize, tap: usize, index: i32, turned: bool): f64 {
  return <f64>load<f32>(from + <usize>(turned ? 8 - index : index) * tap);
}

/** The polynomial of three taps at point i, divided by the product of the distances to the other points. */
// @ts-ignore: decorator
@inline
function tapAt(i: i32, g0: f64, g1: f64, g2: f64): f64 {
  if (i == 0) return g0 / (AA * BB);
  if (i == 1) return (g0 + A * g1 + AA * g2) / (2 * AA * (AA - BB));
  if (i == 2) return (g0 - A * g1 + AA * g2) / (2 * AA * (AA - BB));
  if (i == 3) return (g0 + B * g1 + BB * g2) / (2 * BB * (BB - AA));
  if (i == 4) return (g0 - B * g1 + BB * g2) / (2 * BB * (BB - AA));
  return g2;
}

/** Distance of the 36 products' tables; the last line keeps them out of one set of the cache. */
// @ts-ignore: decorator
@inline
function stepOf(columns: i32): usize {
  return ((<usize>(BLOCK * columns)) << 2) + 64;
}

/** Bytes that winogradFourConv needs at `scratch`. */
export function winogradFourScratchBytes(channels: i32, filters: i32): usize {
  const columns = (filters + 7) & ~7;
  return 576 + (<usize>(36 * channels) << 2) + 36 * (stepOf(channels) + stepOf(columns));
}

/**
 * out [batch][outHeight][outWidth][filters] = convolution of x [batch][height][width][channels], padded with zeros
 * (top and left in front, behind as far as needed), by filters from winogradFourFilters, plus bias [filters] unless it is 0,
 * then ReLU if relu. channels a multiple of 4.
 */
export function winogradFourConv(
  x: usize,
  u: usize,
  bias: usize,
  relu: bool,
  out: usize,
  batch: i32,
  height: i32,
  width: i32,
  channels: i32,
  filters: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
  scratch: usize,
): void {
  const high = (outHeight + 3) >> 2;
  const wide = (outWidth + 3) >> 2;
  const pixel = (<usize>channels) << 2;
  const columns = (filters + 7) & ~7;
  const mRow = (<usize>columns) << 2;
  const uStep = pixel * <usize>columns;
  const patch = scratch + 576;
  const v = patch + 36 * pixel;
  const vStep = stepOf(channels);
  const m = v + 36 * vStep;
  const mStep = stepOf(columns);
  const tiles = batch * high * wide;
  const half = channels >> 1;
  let n = 0;
  let ty = 0;
  let tx = 0;
  let outN = 0;
  let outY = 0;
  let outX = 0;
  for (let t = 0; t < tiles; t += BLOCK) {
    const count = min(BLOCK, tiles - t);
    for (let i = 0; i < count; ++i) {
      let from = x + <usize>(n * height * width) * pixel;
      let row = <usize>width * pixel;
      const y0 = 4 * ty - top;
      const x0 = 4 * tx - left;
      if (y0 < 0 || x0 < 0 || y0 + 6 > height || x0 + 6 > width) {
        layPatch(from, height, width, pixel, y0, x0, patch);
        from = patch;
        row = 6 * pixel;
      } else {
        from += <usize>(y0 * width + x0) * pixel;
      }
      const to = v + <usize>i * pixel;
      for (let c: usize = 0; c < pixel; c += 16) transformInput(from + c, row, pixel, scratch, to + c, vStep);
      if (++tx == wide) {
        tx = 0;
        if (++ty == high) (ty = 0), ++n;
      }
    }
    for (let xi: usize = 0; xi < 36; ++xi) {
      let panel = u + xi * uStep;
      for (let j = 0; j < columns; j += 8) {
        let a = v + xi * vStep;
        let to = m + xi * mStep + ((<usize>j) << 2);
        // The last rows of the last block are computed from what an earlier block left, and not used.
        for (let i = 0; i < count; i += 4, a += pixel << 2, to += mRow << 2) {
          rowTile(a, pixel, panel, channels, half, to, mRow);
        }
        panel += pixel << 3;
      }
    }
    for (let i = 0; i < count; ++i) {
      const oy = 4 * outY;
      const ox = 4 * outX;
      const to = out + ((<usize>(((outN * outHeight + oy) * outWidth + ox) * filters)) << 2);
      const rows = min(4, outHeight - oy);
      const cols = min(4, outWidth - ox);
      storeOutput(m + <usize>i * mRow, mStep, bias, relu, filters, scratch, to, outWidth, rows, cols);
      if (++outX == wide) {
        outX = 0;
        if (++outY == high) (outY = 0), ++outN;
      }
    }
  }
}

/** Copies 6 x 6 pixels of an image from (y0, x0) to `to`, zeros beyond the image. */
function layPatch(image: usize, height: i32, width: i32, pixel: usize, y0: i32, x0: i32, to: usize): void {
  const zero = f32x4.splat(0);
  for (let y = y0; y < y0 + 6; ++y) {
    for (let x = x0; x < x0 + 6; ++x, to += pixel) {
      const isInside = y >= 0 && x >= 0 && y < height && x < width;
      const from = image + <usize>(y * width + x) * pixel;
      // Not memory.copy, which costs more than these few values.
      for (let c: usize = 0; c < pixel; c += 16) v128.store(to + c, isInside ? v128.load(from + c) : zero);
    }
  }
}

/** Transforms 6 x 6 inputs of four channels to v [36], step bytes apart; scratch holds 576 bytes. */
function transformInput(from: usize, row: usize, pixel: usize, scratch: usize, v: usize, step: usize): void {
  for (let x: usize = 0; x < 6; ++x) inputSix(from + x * pixel, row, scratch + (x << 4), 96);
  for (let y: usize = 0; y < 6; ++y, v += 6 * step) inputSix(scratch + 96 * y, 16, v, step);
}

/** Values of d0 + d1 x + .. + d5 x^5 reduced at each point: one column of the input's transform. */
// @ts-ignore: decorator
@inline
function inputSix(from: usize, fromStep: usize, to: usize, step: usize): void {
  const d0 = v128.load(from);
  const d1 = v128.load(from + fromStep);
  const d2 = v128.load(from + 2 * fromStep);
  const d3 = v128.load(from + 3 * fromStep);
  const d4 = v128.load(from + 4 * fromStep);
  const d5 = v128.load(from + 5 * fromStep);
  const sum = f32x4.splat(<f32>(-AA - BB));
  const product = f32x4.splat(<f32>(AA * BB));
  v128.store(to, multiplyAdd(product, d0, multiplyAdd(sum, d2, d4)));
  let even = multiplyAdd(f32x4.splat(<f32>-BB), d2, d4);
  let odd = multiplyAdd(f32x4.splat(<f32>-BB), d1, d3);
  v128.store(to + step, multiplyAdd(f32x4.splat(<f32>A), odd, even));
  v128.store(to + 2 * step, multiplyAdd(f32x4.splat(<f32>-A), odd, even));
  even = multiplyAdd(f32x4.splat(<f32>-AA), d2, d4);
  odd = multiplyAdd(f32x4.splat(<f32>-AA), d1, d3);
  v128.store(to + 3 * step, multiplyAdd(f32x4.splat(<f32>B), odd, even));
  v128.store(to + 4 * step, multiplyAdd(f32x4.splat(<f32>-B), odd, even));
  v128.store(to + 5 * step, multiplyAdd(product, d1, multiplyAdd(sum, d3, d5)));
}

/** Transforms the products m [36] of one tile back to rows x cols outputs. */
function storeOutput(
  m: usize,
  step: usize,
  bias: usize,
  relu: bool,
  filters: i32,
  scratch: usize,
  out: usize,
  outWidth: i32,
  rows: i32,
  cols: i32,
): void {
  const pixel = (<usize>filters) << 2;
  const row = <usize>outWidth * pixel;
  const low = relu ? f32x4.splat(0) : f32x4.splat(-Infinity);
  for (let f = 0; f < filters; f += 4, m += 16, out += 16) {
    for (let x: usize = 0; x < 6; ++x) outputFour(m + x * step, 6 * step, scratch + (x << 4), 96);
    for (let y: usize = 0; y < 4; ++y) outputFour(scratch + 96 * y, 16, scratch + 96 * y, 16);
    const n = min(4, filters - f);
    const b = bias == 0 ? f32x4.splat(0) : loadSome(bias + ((<usize>f) << 2), n);
    for (let y = 0; y < rows; ++y) {
      let to = out + <usize>y * row;
      for (let x = 0; x < cols; ++x, to += pixel) {
        const value = f32x4.add(v128.load(scratch + <usize>(96 * y + 16 * x)), b);
        storeSome(to, f32x4.pmax(value, low), n);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function outputFour(from: usize, fromStep: usize, to: usize, step: usize): void {
  const m0 = v128.load(from);
  const m1 = v128.load(from + fromStep);
  const m2 = v128.load(from + 2 * fromStep);
  const m3 = v128.load(from + 3 * fromStep);
  const m4 = v128.load(from + 4 * fromStep);
  const m5 = v128.load(from + 5 * fromStep);
  const evenA = f32x4.add(m1, m2);
  const oddA = f32x4.sub(m1, m2);
  const evenB = f32x4.add(m3, m4);
  const oddB = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(f32x4.add(m0, evenA), evenB));
  v128.store(to + step, multiplyAdd(f32x4.splat(<f32>A), oddA, f32x4.mul(f32x4.splat(<f32>B), oddB)));
  v128.store(to + 2 * step, multiplyAdd(f32x4.splat(<f32>AA), evenA, f32x4.mul(f32x4.splat(<f32>BB), evenB)));
  v128.store(
    to + 3 * step,
    multiplyAdd(f32x4.splat(<f32>(A * AA)), oddA, multiplyAdd(f32x4.splat(<f32>(B * BB)), oddB, m5)),
  );
}

// @ts-ignore: decorator
@inline
function loadSome(from: usize, n: i32): v128 {
  if (n == 4) return v128.load(from);
  let value = f32x4.replace_lane(f32x4.splat(0), 0, load<f32>(from));
  if (n > 1) value = f32x4.replace_lane(value, 1, load<f32>(from, 4));
  if (n > 2) value = f32x4.replace_lane(value, 2, load<f32>(from, 8));
  return value;
}

// @ts-ignore: decorator
@inline
function storeSome(to: usize, value: v128, n: i32): void {
  if (n == 4) {
    v128.store(to, value);
    return;
  }
  store<f32>(to, f32x4.extract_lane(value, 0));
  if (n > 1) store<f32>(to, f32x4.extract_lane(value, 1), 4);
  if (n > 2) store<f32>(to, f32x4.extract_lane(value, 2), 8);
}
