// Convolution by tiles of 4 x 4 outputs; see winograd-four-tiles.as.
import { multiplyAdd } from './multiply-add';
import { rowTile } from './tile';
import { A, AA, B, BB, layPatch, transformInput } from './winograd-four-tiles';

/** Tiles whose transforms are computed at once; they stay in the second-level cache. */
const BLOCK: i32 = 20;

/** Bytes of the transformed filters: 36 times panels [ceil(filters / 8)][channels][8]. */
export function winogradFourFilterBytes(channels: i32, filters: i32): usize {
  return (<usize>(36 * channels * ((filters + 7) >> 3))) << 5;
}

/** Transforms filters [3][3][channels][filters] for winogradFourConv. scratch holds 384 bytes. */
export function winogradFourFilters(filter: usize, channels: i32, filters: i32, to: usize, scratch: usize): void {
  const pixel = (<usize>filters) << 2;
  const tap = <usize>channels * pixel;
  const xi = (<usize>(channels * ((filters + 7) >> 3))) << 5;
  // In double precision: what is rounded here, all products with it inherit. Two filters at a time.
  for (let j = 0; j < filters; j += 8) {
    for (let c = 0; c < channels; ++c) {
      for (let f = j; f < j + 8; f += 2, to += 8) {
        const from = filter + <usize>c * pixel + ((<usize>f) << 2);
        const second = f + 1 < filters ? 4 : 0;
        if (f >= filters) {
          for (let p: usize = 0; p < 36; ++p) store<u64>(to + p * xi, 0);
          continue;
        }
        for (let x: usize = 0; x < 3; ++x) {
          const g0 = tapPair(from + x * tap, second);
          const g1 = tapPair(from + (3 + x) * tap, second);
          const g2 = tapPair(from + (6 + x) * tap, second);
          filterSix(g0, g1, g2, scratch + (x << 4), 48);
        }
        for (let y: usize = 0; y < 6; ++y) {
          const row = scratch + 48 * y;
          filterSix(v128.load(row), v128.load(row, 16), v128.load(row, 32), scratch + 288, 16);
          for (let x: usize = 0; x < 6; ++x) {
            const pair = f32x4.demote_f64x2_zero(v128.load(scratch + 288 + (x << 4)));
            v128.store64_lane(to + (6 * y + x) * xi, pair, 0);
          }
        }
      }
    }
  }
}

/** A tap of two filters; where there is no second, the first twice. */
// @ts-ignore: decorator
@inline
function tapPair(from: usize, second: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load32_lane(from + second, v128.load32_zero(from), 1));
}

/** The polynomial of three taps at each point, divided by the product of the distances to the other points. */
// @ts-ignore: decorator
@inline
function filterSix(g0: v128, g1: v128, g2: v128, to: usize, step: usize): void {
  v128.store(to, f64x2.mul(g0, f64x2.splat(1 / (AA * BB))));
  let even = f64x2.add(g0, f64x2.mul(f64x2.splat(AA), g2));
  let odd = f64x2.mul(f64x2.splat(A), g1);
  const a = f64x2.splat(1 / (2 * AA * (AA - BB)));
  v128.store(to + step, f64x2.mul(f64x2.add(even, odd), a));
  v128.store(to + 2 * step, f64x2.mul(f64x2.sub(even, odd), a));
  even = f64x2.add(g0, f64x2.mul(f64x2.splat(BB), g2));
  odd = f64x2.mul(f64x2.splat(B), g1);
  const b = f64x2.splat(1 / (2 * BB * (BB - AA)));
  v128.store(to + 3 * step, f64x2.mul(f64x2.add(even, odd), b));
  v128.store(to + 4 * step, f64x2.mul(f64x2.sub(even, odd), b));
  v128.store(to + 5 * step, g2);
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
