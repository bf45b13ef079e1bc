// Convolutions with strides of 1 by filters three pixels wide, over few channels: three taps of eight filters stay in registers while they
// slide along a row of one channel. A matrix of patches would load and store each patch for few products.
import { layImage } from './image';
import { multiplyAdd } from './multiply-add';
import { packActive } from './patches';
import { packRows } from './tile';

/**
 * c [pixels][8] = max(from + sums of three inputs at and behind each place of a row times w [3][8], least). Taps are `tap` bytes apart,
 * pixels of `from` and c fromStep and pixel bytes.
 */
export function slideOutputs(
  row: usize,
  w: usize,
  tap: usize,
  from: usize,
  fromStep: usize,
  least: f32,
  c: usize,
  pixel: usize,
  pixels: i32,
): void {
  const w00 = v128.load(w);
  const w01 = v128.load(w, 16);
  w += tap;
  const w10 = v128.load(w);
  const w11 = v128.load(w, 16);
  w += tap;
  const w20 = v128.load(w);
  const w21 = v128.load(w, 16);
  const floor = f32x4.splat(least);
  for (; pixels > 1; pixels -= 2) {
    const next = from + fromStep;
    const x0 = v128.load_splat<f32>(row);
    const x1 = v128.load_splat<f32>(row, 4);
    const x2 = v128.load_splat<f32>(row, 8);
    const x3 = v128.load_splat<f32>(row, 12);
    let s0 = multiplyAdd(x0, w00, v128.load(from));
    let s1 = multiplyAdd(x0, w01, v128.load(from, 16));
    let t0 = multiplyAdd(x1, w00, v128.load(next));
    let t1 = multiplyAdd(x1, w01, v128.load(next, 16));
    s0 = multiplyAdd(x1, w10, s0);
    s1 = multiplyAdd(x1, w11, s1);
    t0 = multiplyAdd(x2, w10, t0);
    t1 = multiplyAdd(x2, w11, t1);
    s0 = multiplyAdd(x2, w20, s0);
    s1 = multiplyAdd(x2, w21, s1);
    t0 = multiplyAdd(x3, w20, t0);
    t1 = multiplyAdd(x3, w21, t1);
    v128.store(c, f32x4.pmax(s0, floor));
    v128.store(c, f32x4.pmax(s1, floor), 16);
    c += pixel;
    v128.store(c, f32x4.pmax(t0, floor));
    v128.store(c, f32x4.pmax(t1, floor), 16);
    c += pixel;
    row += 8;
    from = next + fromStep;
  }
  if (pixels == 0) return;
  const x0 = v128.load_splat<f32>(row);
  const x1 = v128.load_splat<f32>(row, 4);
  const x2 = v128.load_splat<f32>(row, 8);
  const s0 = multiplyAdd(x2, w20, multiplyAdd(x1, w10, multiplyAdd(x0, w00, v128.load(from))));
  const s1 = multiplyAdd(x2, w21, multiplyAdd(x1, w11, multiplyAdd(x0, w01, v128.load(from, 16))));
  v128.store(c, f32x4.pmax(s0, floor));
  v128.store(c, f32x4.pmax(s1, floor), 16);
}

/**
 * sums [3][8] += products of dy [pixels][8] with the three inputs at and behind each place of a row. Rows of sums are `tap` bytes apart. If
 * the pixels are odd, zeros follow dy.
 */
export function slideGradients(row: usize, dy: usize, sums: usize, tap: usize, pixels: i32): void {
  const zero = f32x4.splat(0);
  let g00 = zero;
  let g01 = zero;
  let g10 = zero;
  let g11 = zero;
  let g20 = zero;
  let g21 = zero;
  for (; pixels > 0; pixels -= 2) {
    const x0 = v128.load_splat<f32>(row);
    const x1 = v128.load_splat<f32>(row, 4);
    const x2 = v128.load_splat<f32>(row, 8);
    const x3 = v128.load_splat<f32>(row, 12);
    const d0 = v128.load(dy);
    const d1 = v128.load(dy, 16);
    g00 = multiplyAdd(x0, d0, g00);
    g01 = multiplyAdd(x0, d1, g01);
    g10 = multiplyAdd(x1, d0, g10);
    g11 = multiplyAdd(x1, d1, g11);
    g20 = multiplyAdd(x2, d0, g20);
    g21 = multiplyAdd(x2, d1, g21);
    const e0 = v128.load(dy, 32);
    const e1 = v128.load(dy, 48);
    g00 = multiplyAdd(x1, e0, g00);
    g01 = multiplyAdd(x1, e1, g01);
    g10 = multiplyAdd(x2, e0, g10);
    g11 = multiplyAdd(x2, e1, g11);
    g20 = multiplyAdd(x3, e0, g20);
    g21 = multiplyAdd(x3, e1, g21);
    row += 8;
    dy += 64;
  }
  addVector(sums, g00);
  addVector(sums + 16, g01);
  sums += tap;
  addVector(sums, g10);
  addVector(sums + 16, g11);
  sums += tap;
  addVector(sums, g20);
  addVector(sums + 16, g21);
}

/** sum [8] += all pixels of dy [pixels][8]. */
export function slideSum(dy: usize, sum: usize, pixels: i32): void {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  for (; pixels > 0; --pixels, dy += 32) {
    s0 = f32x4.add(s0, v128.load(dy));
    s1 = f32x4.add(s1, v128.load(dy, 16));
  }
  addVector(sum, s0);
  addVector(sum + 16, s1);
}

// @ts-ignore: decorator
@inline
function addVector(at: usize, v: v128): void {
  v128.store(at, f32x4.add(v128.load(at), v));
}

/** Whether slideConv and slideFilterGradient compute it. */
export function slides(channels: i32, filterHeight: i32, filterWidth: i32, filters: i32, strideY: i32, strideX: i32): bool {
  return channels == 1 && filterWidth == 3 && (filters & 7) == 0 && strideY == 1 && strideX == 1;
}

/** patchConv for what `slides`. */
export function slideConv(
  x: usize,
  filter: usize,
  bias: usize,
  relu: bool,
  out: usize,
  batch: i32,
  height: i32,
  width: i32,
  filterHeight: i32,
  filters: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
  scratch: usize,
): void {
  const pixel = (<usize>filters) << 2;
  const wide = outWidth + 2;
  const high = outHeight + filterHeight - 1;
  const row = (<usize>wide) << 2;
  const laid = scratch;
  memory.fill(laid, 0, <usize>high * row);
  const zeros = laid + <usize>high * row;
  if (bias == 0) {
    memory.fill(zeros, 0, pixel);
    bias = zeros;
  }
  const least: f32 = relu ? 0 : -Infinity;
  for (let n = 0; n < batch; ++n, x += (<usize>(height * width)) << 2) {
    layImage(x, height, width, 1, laid, high, wide, top, left);
    for (let oy = 0; oy < outHeight; ++oy, out += <usize>outWidth * pixel) {
      for (let f: usize = 0; f < pixel; f += 32) {
        let under = laid + <usize>oy * row;
        let w = filter + f;
        let from = bias + f;
        let fromStep: usize = 0;
        for (let ky = 1; ky <= filterHeight; ++ky) {
          slideOutputs(under, w, pixel, from, fromStep, ky == filterHeight ? least : -Infinity, out + f, pixel, outWidth);
          under += row;
          w += 3 * pixel;
          from = out + f;
          fromStep = pixel;
        }
      }
    }
  }
}

/** patchFilterGradient for what `slides`. */
export function slideFilterGradient(
  x: usize,
  dy: usize,
  y: usize,
  out: usize,
  bias: usize,
  batch: i32,
  height: i32,
  width: i32,
  filterHeight: i32,
  filters: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
  scratch: usize,
): void {
  const pixel = (<usize>filters) << 2;
  const taps = <usize>(3 * filterHeight);
  // Pixels are taken in pairs.
  const pairs = (outWidth + 1) & ~1;
  const wide = pairs + 2;
  const high = outHeight + filterHeight - 1;
  const row = (<usize>wide) << 2;
  const laid = scratch;
  memory.fill(laid, 0, <usize>high * row);
  const sums = laid + <usize>high * row;
  const active = sums + (taps + 1) * pixel;
  const panelStep = (<usize>pairs) << 5;
  memory.fill(active, 0, <usize>pairs * pixel);
  memory.fill(out, 0, taps * pixel);
  memory.fill(bias, 0, pixel);
  for (let n = 0; n < batch; ++n, x += (<usize>(height * width)) << 2) {
    layImage(x, height, width, 1, laid, high, wide, top, left);
    // Sums of an image alone, whose errors are smaller than those of one long sum.
    memory.fill(sums, 0, (taps + 1) * pixel);
    for (let oy = 0; oy < outHeight; ++oy, dy += <usize>outWidth * pixel) {
      if (y == 0) packRows(dy, pixel, outWidth, filters, active, panelStep);
      else packActive(dy, y, outWidth, filters, active, panelStep);
      let panel = active;
      for (let f: usize = 0; f < pixel; f += 32, panel += panelStep) {
        slideSum(panel, sums + taps * pixel + f, outWidth);
        let under = laid + <usize>oy * row;
        let sum = sums + f;
        for (let ky = 0; ky < filterHeight; ++ky) {
          slideGradients(under, panel, sum, pixel, outWidth);
          under += row;
          sum += 3 * pixel;
        }
      }
      if (y != 0) y += <usize>outWidth * pixel;
    }
    for (let i: usize = 0; i < taps * pixel; i += 16) addVector(out + i, v128.load(sums + i));
    for (let i: usize = 0; i < pixel; i += 16) addVector(bias + i, v128.load(sums + taps * pixel + i));
  }
}
