// Convolutions of few channels: each output's inputs, all taps and channels, are laid out as one row of a matrix.
import { multiplyAdd } from './multiply-add';
import { outerTile, packRows, storeTile } from './tile';

/** Rows of the matrix in one block of the filter's gradient. */
const BLOCK: i32 = 128;

/** Floats of a patch and a one, filled up to vectors. */
// @ts-ignore: decorator
@inline
function patchStep(taps: i32): usize {
  return (<usize>((taps + 4) & ~3)) << 2;
}

/** Bytes that patchConv needs at `scratch`. */
export function patchConvScratchBytes(taps: i32, filters: i32, outWidth: i32): usize {
  const panels = <usize>((filters + 7) >> 3);
  return <usize>((outWidth + 3) & ~3) * patchStep(taps) + (panels << 5) * <usize>(taps + 1) + 128;
}

/**
 * out [batch][outHeight][outWidth][filters] = convolution of x [batch][height][width][channels], padded with zeros (top and
 * left in front, behind as far as needed), by filter [filterHeight][filterWidth][channels][filters], plus bias [filters]
 * unless it is 0, then ReLU if relu.
 */
export function patchConv(
  x: usize,
  filter: usize,
  bias: usize,
  relu: bool,
  out: usize,
  batch: i32,
  height: i32,
  width: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  filters: i32,
  strideY: i32,
  strideX: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
  scratch: usize,
): void {
  const taps = filterHeight * filterWidth * channels;
  const step = patchStep(taps);
  const t = scratch;
  const patches = scratch + 128;
  const packed = patches + <usize>((outWidth + 3) & ~3) * step;
  const panelStep = (<usize>taps) << 5;
  const biases = packed + panelStep * <usize>((filters + 7) >> 3);
  const pixel = (<usize>filters) << 2;
  packRows(filter, pixel, taps, filters, packed, panelStep);
  if (bias == 0) memory.fill(biases, 0, (<usize>((filters + 7) >> 3)) << 5);
  else packRows(bias, pixel, 1, filters, biases, 32);
  for (let n = 0; n < batch; ++n, x += (<usize>(height * width * channels)) << 2) {
    for (let oy = 0; oy < outHeight; ++oy) {
      layPatches(x, height, width, channels, filterHeight, filterWidth, strideX, oy * strideY - top, left, outWidth, step, patches);
      for (let f = 0; f < filters; f += 8) {
        const panel = packed + <usize>(f >> 3) * panelStep;
        const some = min(8, filters - f);
        let a = patches;
        let to = out + ((<usize>f) << 2);
        for (let ox = 0; ox < outWidth; ox += 4, a += step << 2, to += pixel << 2) {
          const rows = min(4, outWidth - ox);
          if (some == 8 && rows == 4) {
            biasedTile(a, step, panel, taps, biases + ((<usize>f) << 2), relu, to, pixel);
          } else {
            biasedTile(a, step, panel, taps, biases + ((<usize>f) << 2), relu, t, 32);
            storeTile(t, to, pixel, rows, some, false);
          }
        }
      }
      out += <usize>outWidth * pixel;
    }
  }
}

/** Lays the patches of one row of outputs, whose first input row is y0, step bytes apart; a one follows each. */
function layPatches(
  image: usize,
  height: i32,
  width: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideX: i32,
  y0: i32,
  left: i32,
  outWidth: i32,
  step: usize,
  to: usize,
): void {
  const run = filterWidth * channels;
  const end = to + ((<usize>(filterHeight * run)) << 2);
  for (let ox = 0; ox < outWidth; ++ox) store<f32>(end + <usize>ox * step, 1);
  for (let ky = 0; ky < filterHeight; ++ky) {
    const y = y0 + ky;
    const isRow = y >= 0 && y < height;
    for (let kx = 0; kx < filterWidth; ++kx, to += (<usize>channels) << 2) {
      // Outputs from `first` on, and before `last`, have this tap within the image.
      const x = kx - left;
      const first = isRow ? min(outWidth, max(0, (strideX - 1 - x) / strideX)) : outWidth;
      const last = isRow && width > x ? max(first, min(outWidth, (width - 1 - x) / strideX + 1)) : first;
      clearTap(to, first, channels, step);
      const at = to + <usize>first * step;
      copyTap(image + ((<usize>((y * width + x + first * strideX) * channels)) << 2), strideX, at, last - first, channels, step);
      clearTap(to + <usize>last * step, outWidth - last, channels, step);
    }
  }
}

/** Copies a tap's values to `count` patches, whose inputs lie strideX pixels apart. */
// @ts-ignore: decorator
@inline
function copyTap(from: usize, strideX: i32, to: usize, count: i32, channels: i32, step: usize): void {
  const far = (<usize>(strideX * channels)) << 2;
  if (channels == 1) {
    for (; count > 0; --count, from += far, to += step) store<f32>(to, load<f32>(from));
    return;
  }
  for (; count > 0; --count, from += far, to += step) {
    for (let c: usize = 0; c < (<usize>channels) << 2; c += 4) store<f32>(to + c, load<f32>(from + c));
  }
}

// @ts-ignore: decorator
@inline
function clearTap(to: usize, count: i32, channels: i32, step: usize): void {
  for (; count > 0; --count, to += step) {
    for (let c: usize = 0; c < (<usize>channels) << 2; c += 4) store<f32>(to + c, 0);
  }
}

/** c[4][8] = bias [8] plus four rows of a, aRow bytes apart, times b [k][8], then ReLU if relu. */
export function biasedTile(
  a: usize,
  aRow: usize,
  b: usize,
  k: i32,
  bias: usize,
  relu: bool,
  c: usize,
  cRow: usize,
): void {
  const low = relu ? f32x4.splat(0) : f32x4.splat(-Infinity);
  let a1 = a + aRow;
  let a2 = a1 + aRow;
  let a3 = a2 + aRow;
  let c00 = v128.load(bias);
  let c01 = v128.load(bias, 16);
  let c10 = c00;
  let c11 = c01;
  let c20 = c00;
  let c21 = c01;
  let c30 = c00;
  let c31 = c01;
  for (; k > 0; --k) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = multiplyAdd(x, b0, c00);
    c01 = multiplyAdd(x, b1, c01);
    x = v128.load_splat<f32>(a1);
    c10 = multiplyAdd(x, b0, c10);
    c11 = multiplyAdd(x, b1, c11);
    x = v128.load_splat<f32>(a2);
    c20 = multiplyAdd(x, b0, c20);
    c21 = multiplyAdd(x, b1, c21);
    x = v128.load_splat<f32>(a3);
    c30 = multiplyAdd(x, b0, c30);
    c31 = multiplyAdd(x, b1, c31);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    b += 32;
  }
  // NaN stays NaN.
  v128.store(c, f32x4.pmax(c00, low));
  v128.store(c, f32x4.pmax(c01, low), 16);
  c += cRow;
  v128.store(c, f32x4.pmax(c10, low));
  v128.store(c, f32x4.pmax(c11, low), 16);
  c += cRow;
  v128.store(c, f32x4.pmax(c20, low));
  v128.store(c, f32x4.pmax(c21, low), 16);
  c += cRow;
  v128.store(c, f32x4.pmax(c30, low));
  v128.store(c, f32x4.pmax(c31, low), 16);
}

/** Bytes that patchFilterGradient needs at `scratch`. */
export function patchFilterGradientScratchBytes(taps: i32, filters: i32, outWidth: i32): usize {
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  const rows = <usize>(blockRows(outWidth) * outWidth);
  return 128 + rows * (patchStep(taps) + columns) + (patchStep(taps) >> 2) * columns;
}

// @ts-ignore: decorator
@inline
function blockRows(outWidth: i32): i32 {
  return max(1, BLOCK / outWidth);
}

/**
 * out [filterHeight][filterWidth][channels][filters] and bias [filters] = gradients of the filter and of the bias, from x as
 * for patchConv and the output's gradient dy [batch][outHeight][outWidth][filters], which counts as 0 where y, unless it is
 * 0, is not positive.
 */
export function patchFilterGradient(
  x: usize,
  dy: usize,
  y: usize,
  out: usize,
  bias: usize,
  batch: i32,
  height: i32,
  width: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  filters: i32,
  strideY: i32,
  strideX: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
  scratch: usize,
): void {
  const taps = filterHeight * filterWidth * channels;
  const step = patchStep(taps);
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  const rows = blockRows(outWidth);
  const patches = scratch + 128;
  const block = patches + <usize>(rows * outWidth) * step;
  const sums = block + <usize>(rows * outWidth) * columns;
  const pixel = (<usize>filters) << 2;
  memory.fill(patches, 0, sums + (step >> 2) * columns - patches);
  for (let n = 0; n < batch; ++n, x += (<usize>(height * width * channels)) << 2) {
    for (let oy = 0; oy < outHeight; oy += rows) {
      const count = min(rows, outHeight - oy);
      const pixels = count * outWidth;
      for (let r = 0; r < count; ++r) {
        const to = patches + <usize>(r * outWidth) * step;
        layPatches(
          x, height, width, channels, filterHeight, filterWidth, strideX, (oy + r) * strideY - top, left, outWidth, step, to,
        );
      }
      const panelStep = (<usize>pixels) << 5;
      if (y == 0) {
        packRows(dy, pixel, pixels, filters, block, panelStep);
      } else {
        packActive(dy, y, pixels, filters, block, panelStep);
        y += <usize>pixels * pixel;
      }
      dy += <usize>pixels * pixel;
      let sum = sums;
      for (let i: usize = 0; i < step; i += 16) {
        let panel = block;
        for (let c: usize = 0; c < columns; c += 32, panel += panelStep, sum += 128) {
          outerTile(patches + i, step, 0, 1, pixels, panel, scratch, 32);
          storeTile(scratch, sum, 32, 4, 8, true);
        }
      }
    }
  }
  for (let i = 0; i <= taps; ++i) {
    const to = i < taps ? out + <usize>i * pixel : bias;
    for (let f = 0; f < filters; ++f) {
      const tile = sums + <usize>(i >> 2) * (columns << 2) + ((<usize>(f >> 3)) << 7);
      store<f32>(to + ((<usize>f) << 2), load<f32>(tile + ((<usize>((i & 3) * 8 + (f & 7))) << 2)));
    }
  }
}

/** Like packRows for rows without gaps, with 0 where y is not positive. */
export function packActive(dy: usize, y: usize, rows: i32, n: i32, to: usize, panelStep: usize): void {
  const zero = f32x4.splat(0);
  const whole = n & ~7;
  const rest = (<usize>(n - whole)) << 2;
  for (let r = 0; r < rows; ++r, to += 32) {
    let panel = to;
    for (let j = 0; j < whole; j += 8, dy += 32, y += 32, panel += panelStep) {
      v128.store(panel, v128.and(v128.load(dy), f32x4.gt(v128.load(y), zero)));
      v128.store(panel, v128.and(v128.load(dy, 16), f32x4.gt(v128.load(y, 16), zero)), 16);
    }
    if (rest == 0) continue;
    v128.store(panel, zero);
    v128.store(panel, zero, 16);
    for (let i: usize = 0; i < rest; i += 4) {
      store<f32>(panel + i, load<f32>(y + i) > 0 ? load<f32>(dy + i) : 0);
    }
    dy += rest;
    y += rest;
  }
}
