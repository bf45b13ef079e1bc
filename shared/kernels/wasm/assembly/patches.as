// Convolutions of few channels: each output's inputs, all taps and channels, are laid out as one row of a matrix.
import { layImage } from './image';
import { slideConv, slideFilterGradient, slides } from './slide';
import { multiplyAdd, roundsOnce } from './multiply-add';
import { outerSix, outerTile, packRows, storeTile } from './tile';

/** Rows of the matrix in one block. */
const BLOCK: i32 = 128;

/** Floats of a patch and a one, filled up to vectors. */
// @ts-ignore: decorator
@inline
function patchStep(taps: i32): usize {
  return (<usize>((taps + 4) & ~3)) << 2;
}

/** Bytes of a tile [6][8]. */
const TILE_BYTES: usize = 192;

/** Bytes of the patches of a block, with room for those that fill up its last tile. */
// @ts-ignore: decorator
@inline
function patchBytes(taps: i32, outWidth: i32): usize {
  return <usize>(blockRows(outWidth) * outWidth + 5) * patchStep(taps);
}

/** Pixels that filters cover along an axis. */
// @ts-ignore: decorator
@inline
function covered(outputs: i32, stride: i32, taps: i32): i32 {
  return (outputs - 1) * stride + taps;
}

/** Bytes of one image with zeros around it, and of what is read behind it. */
// @ts-ignore: decorator
@inline
function laidBytes(coveredHeight: i32, coveredWidth: i32, channels: i32): usize {
  return (<usize>(coveredHeight * coveredWidth * channels + 3)) << 2;
}

/** Bytes that patchConv needs at `scratch`, beside those of patchImageBytes. */
export function patchConvScratchBytes(taps: i32, filters: i32, outWidth: i32): usize {
  const panels = <usize>((filters + 7) >> 3);
  return TILE_BYTES + patchBytes(taps, outWidth) + (panels << 5) * <usize>(taps + 1);
}

/** Bytes that patchConv and patchFilterGradient need for one image. */
export function patchImageBytes(
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideY: i32,
  strideX: i32,
  outHeight: i32,
  outWidth: i32,
): usize {
  // One more column for slideFilterGradient.
  return laidBytes(covered(outHeight, strideY, filterHeight), covered(outWidth, strideX, filterWidth) + 1, channels);
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
  if (slides(channels, filterHeight, filterWidth, filters, strideY, strideX)) {
    slideConv(x, filter, bias, relu, out, batch, height, width, filterHeight, filters, outHeight, outWidth, top, left, scratch);
    return;
  }
  const taps = filterHeight * filterWidth * channels;
  const step = patchStep(taps);
  const patches = scratch + TILE_BYTES;
  const packed = patches + patchBytes(taps, outWidth);
  const panelStep = (<usize>taps) << 5;
  const biases = packed + panelStep * <usize>((filters + 7) >> 3);
  const pixel = (<usize>filters) << 2;
  const rows = blockRows(outWidth);
  packRows(filter, pixel, taps, filters, packed, panelStep);
  if (bias == 0) memory.fill(biases, 0, (<usize>((filters + 7) >> 3)) << 5);
  else packRows(bias, pixel, 1, filters, biases, 32);
  // Patches that fill up the last tile are computed and not used.
  memory.fill(patches, 0, patchBytes(taps, outWidth));
  const laid = biases + ((<usize>((filters + 7) >> 3)) << 5);
  const high = covered(outHeight, strideY, filterHeight);
  const wide = covered(outWidth, strideX, filterWidth);
  memory.fill(laid, 0, laidBytes(high, wide, channels));
  for (let n = 0; n < batch; ++n, x += (<usize>(height * width * channels)) << 2) {
    layImage(x, height, width, channels, laid, high, wide, top, left);
    for (let oy = 0; oy < outHeight; oy += rows) {
      const count = min(rows, outHeight - oy);
      layPatches(laid, wide, channels, filterHeight, filterWidth, strideY, strideX, oy, count, outWidth, step, patches);
      const pixels = count * outWidth;
      let panel = packed;
      for (let f = 0; f < filters; f += 8, panel += panelStep) {
        const at = (<usize>f) << 2;
        biasedTiles(patches, step, pixels, panel, taps, biases + at, out + at, pixel, min(8, filters - f), scratch);
      }
      const end = out + <usize>pixels * pixel;
      if (relu) keepPositive(out, end);
      out = end;
    }
  }
}

/** Sets negative floats from `at` to `end` to 0. Apart from the tiles: behind their loops, V8 would spill the sums in each turn. */
function keepPositive(at: usize, end: usize): void {
  const zero = f32x4.splat(0);
  // NaN stays NaN.
  for (; at + 16 <= end; at += 16) v128.store(at, f32x4.pmax(v128.load(at), zero));
  for (; at < end; at += 4) if (load<f32>(at) < 0) store<f32>(at, 0);
}

/** Up to eight columns of c [pixels][..] from the panel b [k][8], its rows cRow bytes apart; t holds a tile. */
export function biasedTiles(
  a: usize,
  aRow: usize,
  pixels: i32,
  b: usize,
  k: i32,
  bias: usize,
  c: usize,
  cRow: usize,
  columns: i32,
  t: usize,
): void {
  while (pixels > 0) {
    // See winograd.as.
    const rows = roundsOnce() && pixels > 4 ? 6 : 4;
    const isWhole = columns == 8 && pixels >= rows;
    const to = isWhole ? c : t;
    const toRow: usize = isWhole ? cRow : 32;
    if (rows == 6) biasedSix(a, aRow, b, k, bias, to, toRow);
    else biasedFour(a, aRow, b, k, bias, to, toRow);
    if (!isWhole) storeTile(t, c, cRow, min(rows, pixels), columns, false);
    a += <usize>rows * aRow;
    c += <usize>rows * cRow;
    pixels -= rows;
  }
}

/**
 * Lays the patches of `count` rows of outputs from oy on, step bytes apart, from an image that has zeros around it; a one follows each.
 * Vectors are copied whole: what lies beyond a patch's row is overwritten by the next, or not used.
 */
function layPatches(
  image: usize,
  width: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideY: i32,
  strideX: i32,
  oy: i32,
  count: i32,
  outWidth: i32,
  step: usize,
  to: usize,
): void {
  const row = (<usize>(width * channels)) << 2;
  const run = (<usize>(filterWidth * channels)) << 2;
  const right = (<usize>(strideX * channels)) << 2;
  image += <usize>(oy * strideY) * row;
  for (; count > 0; --count, image += <usize>strideY * row) {
    let under = image;
    for (let ox = 0; ox < outWidth; ++ox, under += right, to += step) {
      let from = under;
      let at = to;
      for (let ky = 0; ky < filterHeight; ++ky, from += row, at += run) {
        for (let i: usize = 0; i < run; i += 16) v128.store(at + i, v128.load(from + i));
      }
      store<f32>(at, 1);
    }
  }
}

/** c[4][8] = bias [8] plus four rows of a, aRow bytes apart, times b [k][8]. */
export function biasedFour(
  a: usize,
  aRow: usize,
  b: usize,
  k: i32,
  bias: usize,
  c: usize,
  cRow: usize,
): void {
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
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += cRow;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += cRow;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += cRow;
  v128.store(c, c30);
  v128.store(c, c31, 16);
}

/** biasedFour for six rows. */
export function biasedSix(
  a: usize,
  aRow: usize,
  b: usize,
  k: i32,
  bias: usize,
  c: usize,
  cRow: usize,
): void {
  let a1 = a + aRow;
  let a2 = a1 + aRow;
  let a3 = a2 + aRow;
  let a4 = a3 + aRow;
  let a5 = a4 + aRow;
  let c00 = v128.load(bias);
  let c01 = v128.load(bias, 16);
  let c10 = c00;
  let c11 = c01;
  let c20 = c00;
  let c21 = c01;
  let c30 = c00;
  let c31 = c01;
  let c40 = c00;
  let c41 = c01;
  let c50 = c00;
  let c51 = c01;
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
    x = v128.load_splat<f32>(a4);
    c40 = multiplyAdd(x, b0, c40);
    c41 = multiplyAdd(x, b1, c41);
    x = v128.load_splat<f32>(a5);
    c50 = multiplyAdd(x, b0, c50);
    c51 = multiplyAdd(x, b1, c51);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
    b += 32;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += cRow;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += cRow;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += cRow;
  v128.store(c, c30);
  v128.store(c, c31, 16);
  c += cRow;
  v128.store(c, c40);
  v128.store(c, c41, 16);
  c += cRow;
  v128.store(c, c50);
  v128.store(c, c51, 16);
}

/** Bytes that patchFilterGradient needs at `scratch`, beside those of patchImageBytes. */
export function patchFilterGradientScratchBytes(taps: i32, filters: i32, outWidth: i32): usize {
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  // One more for slideFilterGradient, which takes them in pairs.
  const pixels = <usize>(blockRows(outWidth) * outWidth + 1);
  return TILE_BYTES + patchBytes(taps, outWidth) + (pixels + (patchStep(taps) >> 2)) * columns;
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
  if (slides(channels, filterHeight, filterWidth, filters, strideY, strideX)) {
    slideFilterGradient(x, dy, y, out, bias, batch, height, width, filterHeight, filters, outHeight, outWidth, top, left, scratch);
    return;
  }
  const taps = filterHeight * filterWidth * channels;
  const step = patchStep(taps);
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  const rows = blockRows(outWidth);
  const patches = scratch + TILE_BYTES;
  const block = patches + patchBytes(taps, outWidth);
  const sums = block + <usize>(rows * outWidth) * columns;
  const pixel = (<usize>filters) << 2;
  const laid = sums + (step >> 2) * columns;
  const high = covered(outHeight, strideY, filterHeight);
  const wide = covered(outWidth, strideX, filterWidth);
  memory.fill(patches, 0, laid + laidBytes(high, wide, channels) - patches);
  for (let n = 0; n < batch; ++n, x += (<usize>(height * width * channels)) << 2) {
    layImage(x, height, width, channels, laid, high, wide, top, left);
    for (let oy = 0; oy < outHeight; oy += rows) {
      const count = min(rows, outHeight - oy);
      const pixels = count * outWidth;
      layPatches(laid, wide, channels, filterHeight, filterWidth, strideY, strideX, oy, count, outWidth, step, patches);
      const panelStep = (<usize>pixels) << 5;
      if (y == 0) {
        packRows(dy, pixel, pixels, filters, block, panelStep);
      } else {
        packActive(dy, y, pixels, filters, block, panelStep);
        y += <usize>pixels * pixel;
      }
      dy += <usize>pixels * pixel;
      let tile: usize = 0;
      for (let i: usize = 0; i < step; i += tile << 2) {
        // A step is a multiple of four floats: tiles of six must leave none, four, six or at least eight of them.
        const left = (step - i) >> 2;
        tile = roundsOnce() && (left == 6 || left >= 12) ? 6 : 4;
        const sum = sums + (i >> 2) * columns;
        let panel = block;
        for (let c: usize = 0; c < columns; c += 32, panel += panelStep) {
          if (tile == 6) outerSix(patches + i, step, pixels, panel, scratch, 32);
          else outerTile(patches + i, step, 0, 1, pixels, panel, scratch, 32);
          storeTile(scratch, sum + c, columns, <i32>tile, 8, true);
        }
      }
    }
  }
  for (let i = 0; i < taps; ++i) memory.copy(out + <usize>i * pixel, sums + <usize>i * columns, pixel);
  memory.copy(bias, sums + <usize>taps * columns, pixel);
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
