// Gradients of a 3 x 3 convolution with stride 1 whose outputs went through ReLU and a max-pool of 2 x 2. At most one output
// of four has a gradient, so the sums run over those alone. winners [batch][outHeight / 2][outWidth / 2][filters] has the
// place of each window's largest output, 0 to 3 in row-major order, or NONE where ReLU made it zero.
import { multiplyAdd } from './multiply-add';

/** Place in winners of a window whose outputs are all 0 after ReLU. */
const NONE: i32 = 255;

/** Bytes of nine sums of four channels. */
const NINE: usize = 144;

// @ts-ignore: decorator
@inline
function planeBytes(outHeight: i32, outWidth: i32): usize {
  return (<usize>((outHeight + 2) * (outWidth + 2))) << 4;
}

/** Bytes that both gradients need at `scratch`. */
export function pooledScratchBytes(channels: i32, filters: i32, outHeight: i32, outWidth: i32): usize {
  const entries = (<usize>((outHeight >> 1) * (outWidth >> 1) * filters)) << 3;
  const sums = NINE * <usize>((channels >> 2) * filters);
  const counts = (<usize>max(filters, (outHeight >> 1) * (outWidth >> 1) * 4)) << 2;
  return 160 + entries + counts + planeBytes(outHeight, outWidth) + sums + <usize>((filters + 15) & ~15);
}

/**
 * out [3][3][channels][filters] = gradient of the filters and bias [filters] = gradient of the bias, from x [batch][height][width]
 * [channels], padded with zeros (top and left in front, behind as far as needed), and the pool's gradient dy
 * [batch][outHeight / 2][outWidth / 2][filters]. channels a multiple of 4.
 */
export function pooledFilterGradient(
  x: usize,
  dy: usize,
  winners: usize,
  out: usize,
  bias: usize,
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
  const high = outHeight >> 1;
  const wide = outWidth >> 1;
  const cells = <usize>(high * wide);
  const blocks = channels >> 2;
  const row = (<usize>(outWidth + 2)) << 4;
  const listStep = cells << 3;
  const lists = scratch + 160;
  const counts = lists + listStep * <usize>filters;
  const plane = counts + ((<usize>max(filters, <i32>cells * 4)) << 2);
  const sums = plane + planeBytes(outHeight, outWidth);
  memory.fill(bias, 0, (<usize>filters) << 2);
  memory.fill(plane, 0, planeBytes(outHeight, outWidth) + NINE * <usize>(blocks * filters));
  for (let n = 0; n < batch; ++n) {
    memory.fill(counts, 0, (<usize>filters) << 2);
    for (let y = 0; y < high; ++y) {
      for (let x = 0; x < wide; ++x, dy += (<usize>filters) << 2, winners += <usize>filters) {
        const at = <usize>(2 * y) * row + ((<usize>x) << 5);
        let list = lists;
        for (let f: usize = 0; f < <usize>filters; ++f, list += listStep) {
          const place = <usize>load<u8>(winners + f);
          const value = load<f32>(dy + (f << 2));
          const count = load<u32>(counts + (f << 2));
          const to = list + ((<usize>count) << 3);
          store<u32>(to, <u32>(at + (place >> 1) * row + ((place & 1) << 4)));
          store<f32>(to, value, 4);
          // NaN is a gradient, 0 is none.
          store<u32>(counts + (f << 2), count + (<u32>(place < 4) & <u32>(value != 0)));
        }
      }
    }
    let list = lists;
    for (let f: usize = 0; f < <usize>filters; ++f, list += listStep) {
      let sum: f32 = 0;
      for (let i: u32 = 0, at = list + 4; i < load<u32>(counts + (f << 2)); ++i, at += 8) sum += load<f32>(at);
      store<f32>(bias + (f << 2), load<f32>(bias + (f << 2)) + sum);
    }
    let sum = sums;
    for (let block = 0; block < blocks; ++block) {
      layPlane(x + ((<usize>block) << 4), height, width, channels, plane, outHeight, outWidth, top, left);
      list = lists;
      for (let f: usize = 0; f < <usize>filters; ++f, list += listStep, sum += NINE) {
        inputsUnder(list, load<u32>(counts + (f << 2)), plane, row, scratch);
        addNine(scratch, sum);
      }
    }
    x += (<usize>(height * width * channels)) << 2;
  }
  let from = sums;
  for (let block = 0; block < blocks; ++block) {
    for (let f: usize = 0; f < <usize>filters; ++f) {
      for (let tap: usize = 0; tap < 9; ++tap) {
        for (let c: usize = 0; c < 4; ++c, from += 4) {
          const at = (tap * <usize>channels + ((<usize>block) << 2) + c) * <usize>filters + f;
          store<f32>(out + (at << 2), load<f32>(from));
        }
      }
    }
  }
}

/** Copies four channels of an image into a plane [outHeight + 2][outWidth + 2][4]; what lies beyond the image stays as it is. */
function layPlane(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  plane: usize,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
): void {
  const pixel = (<usize>channels) << 2;
  const rows = min(height, outHeight + 2 - top);
  const columns = min(width, outWidth + 2 - left);
  for (let y = 0; y < rows; ++y) {
    let from = x + <usize>(y * width) * pixel;
    let to = plane + ((<usize>((y + top) * (outWidth + 2) + left)) << 4);
    for (let i = 0; i < columns; ++i, from += pixel, to += 16) v128.store(to, v128.load(from));
  }
}

/** t[9][4] = sum over a list of (place in the plane, value) of value times the 3 x 3 pixels at that place. */
export function inputsUnder(list: usize, count: i32, plane: usize, row: usize, t: usize): void {
  let c0 = f32x4.splat(0);
  let c1 = f32x4.splat(0);
  let c2 = f32x4.splat(0);
  let c3 = f32x4.splat(0);
  let c4 = f32x4.splat(0);
  let c5 = f32x4.splat(0);
  let c6 = f32x4.splat(0);
  let c7 = f32x4.splat(0);
  let c8 = f32x4.splat(0);
  for (; count > 0; --count, list += 8) {
    let at = plane + <usize>load<u32>(list);
    const value = v128.load_splat<f32>(list, 4);
    c0 = multiplyAdd(value, v128.load(at), c0);
    c1 = multiplyAdd(value, v128.load(at, 16), c1);
    c2 = multiplyAdd(value, v128.load(at, 32), c2);
    at += row;
    c3 = multiplyAdd(value, v128.load(at), c3);
    c4 = multiplyAdd(value, v128.load(at, 16), c4);
    c5 = multiplyAdd(value, v128.load(at, 32), c5);
    at += row;
    c6 = multiplyAdd(value, v128.load(at), c6);
    c7 = multiplyAdd(value, v128.load(at, 16), c7);
    c8 = multiplyAdd(value, v128.load(at, 32), c8);
  }
  v128.store(t, c0);
  v128.store(t, c1, 16);
  v128.store(t, c2, 32);
  v128.store(t, c3, 48);
  v128.store(t, c4, 64);
  v128.store(t, c5, 80);
  v128.store(t, c6, 96);
  v128.store(t, c7, 112);
  v128.store(t, c8, 128);
}

// Apart from the loops: with loads behind a loop, V8 spills the sums in each turn of the loop.
export function addNine(t: usize, sum: usize): void {
  for (let i: usize = 0; i < NINE; i += 16) {
    v128.store(sum + i, f32x4.add(v128.load(sum + i), v128.load(t + i)));
  }
}

/**
 * dx [batch][height][width][channels] = gradient of the input, from the pool's gradient dy [batch][outHeight / 2][outWidth / 2]
 * [filters] and the filters [3][3][channels][filters]; padding as for pooledFilterGradient. channels and filters multiples of 4.
 */
export function pooledInputGradient(
  dy: usize,
  winners: usize,
  filter: usize,
  dx: usize,
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
  const high = outHeight >> 1;
  const wide = outWidth >> 1;
  const cells = high * wide;
  const blocks = channels >> 2;
  const row = (<usize>(outWidth + 2)) << 4;
  const lists = scratch + 160;
  const counts = lists + ((<usize>(cells * filters)) << 3);
  const plane = counts + ((<usize>max(filters, cells * 4)) << 2);
  const taps = plane + planeBytes(outHeight, outWidth);
  const codes = taps + NINE * <usize>(blocks * filters);
  memory.fill(codes, <u8>NONE, <usize>((filters + 15) & ~15));
  let to = taps;
  for (let block: usize = 0; block < <usize>blocks; ++block) {
    for (let f: usize = 0; f < <usize>filters; ++f) {
      for (let tap: usize = 0; tap < 9; ++tap) {
        for (let c: usize = 0; c < 4; ++c, to += 4) {
          const at = (tap * <usize>channels + (block << 2) + c) * <usize>filters + f;
          store<f32>(to, load<f32>(filter + (at << 2)));
        }
      }
    }
  }
  const rows = min(height, outHeight + 2 - top);
  const columns = min(width, outWidth + 2 - left);
  const pixel = (<usize>channels) << 2;
  if (rows < height || columns < width) memory.fill(dx, 0, <usize>(batch * height * width) * pixel);
  for (let n = 0; n < batch; ++n) {
    listsByPlace(dy, winners, cells, filters, lists, counts, codes);
    dy += (<usize>(cells * filters)) << 2;
    winners += <usize>(cells * filters);
    for (let block = 0; block < blocks; ++block) {
      memory.fill(plane, 0, planeBytes(outHeight, outWidth));
      const weights = taps + NINE * <usize>(block * filters);
      let list = lists;
      let count = counts;
      for (let y = 0; y < high; ++y) {
        let at = plane + <usize>(2 * y) * row;
        for (let x = 0; x < wide; ++x, at += 32) {
          for (let place: usize = 0; place < 4; ++place, count += 4) {
            const entries = load<i32>(count);
            if (entries == 0) continue;
            addTaps(list, entries, weights, at + (place >> 1) * row + ((place & 1) << 4), row);
            list += (<usize>entries) << 3;
          }
        }
      }
      const image = dx + ((<usize>block) << 4);
      for (let y = 0; y < rows; ++y) {
        let from = plane + ((<usize>((y + top) * (outWidth + 2) + left)) << 4);
        let pixels = image + <usize>(y * width) * pixel;
        for (let x = 0; x < columns; ++x, from += 16, pixels += pixel) v128.store(pixels, v128.load(from));
      }
    }
    dx += <usize>(height * width) * pixel;
  }
}

/**
 * For each window and place, the list of (place of the filter's taps, gradient) of the filters whose largest output is there, one
 * behind the other. `codes` has room for one byte for each filter, filled up to vectors.
 */
function listsByPlace(
  dy: usize,
  winners: usize,
  cells: i32,
  filters: i32,
  lists: usize,
  counts: usize,
  codes: usize,
): void {
  for (let cell = 0; cell < cells; ++cell) {
    // A gradient of 0 is none, NaN is one.
    for (let f: usize = 0; f < <usize>filters; f += 4) {
      const isZero = f32x4.eq(v128.load(dy + (f << 2)), f32x4.splat(0));
      const half = i16x8.narrow_i32x4_s(isZero, isZero);
      const code = v128.or(v128.load32_zero(winners + f), i8x16.narrow_i16x8_s(half, half));
      v128.store32_lane(codes + f, code, 0);
    }
    for (let place: u8 = 0; place < 4; ++place, counts += 4) {
      const first = lists;
      for (let group: usize = 0; group < <usize>filters; group += 16) {
        let bits = i8x16.bitmask(i8x16.eq(v128.load(codes + group), i8x16.splat(place)));
        for (; bits != 0; bits &= bits - 1, lists += 8) {
          const f = group + <usize>ctz(bits);
          store<u32>(lists, <u32>(f * NINE));
          store<f32>(lists, load<f32>(dy + (f << 2)), 4);
        }
      }
      store<u32>(counts, <u32>((lists - first) >> 3));
    }
    dy += (<usize>filters) << 2;
    winners += <usize>filters;
  }
}

/** Adds to 3 x 3 pixels of a plane, for a list of (place in the weights, value), value times the nine taps there. */
export function addTaps(list: usize, count: i32, weights: usize, at: usize, row: usize): void {
  const middle = at + row;
  const bottom = middle + row;
  let c0 = v128.load(at);
  let c1 = v128.load(at, 16);
  let c2 = v128.load(at, 32);
  let c3 = v128.load(middle);
  let c4 = v128.load(middle, 16);
  let c5 = v128.load(middle, 32);
  let c6 = v128.load(bottom);
  let c7 = v128.load(bottom, 16);
  let c8 = v128.load(bottom, 32);
  for (; count > 0; --count, list += 8) {
    const taps = weights + <usize>load<u32>(list);
    const value = v128.load_splat<f32>(list, 4);
    c0 = multiplyAdd(value, v128.load(taps), c0);
    c1 = multiplyAdd(value, v128.load(taps, 16), c1);
    c2 = multiplyAdd(value, v128.load(taps, 32), c2);
    c3 = multiplyAdd(value, v128.load(taps, 48), c3);
    c4 = multiplyAdd(value, v128.load(taps, 64), c4);
    c5 = multiplyAdd(value, v128.load(taps, 80), c5);
    c6 = multiplyAdd(value, v128.load(taps, 96), c6);
    c7 = multiplyAdd(value, v128.load(taps, 112), c7);
    c8 = multiplyAdd(value, v128.load(taps, 128), c8);
  }
  v128.store(at, c0);
  v128.store(at, c1, 16);
  v128.store(at, c2, 32);
  v128.store(middle, c3);
  v128.store(middle, c4, 16);
  v128.store(middle, c5, 32);
  v128.store(bottom, c6);
  v128.store(bottom, c7, 16);
  v128.store(bottom, c8, 32);
}

/**
 * out [height / 2][width / 2][channels] = largest of each 2 x 2 outputs y [height][width][channels], and winners their places,
 * the first of equal ones. Where relu, y has no negative values, and the place of 0 is NONE. channels a multiple of 4.
 */
export function poolWinners(y: usize, out: usize, winners: usize, height: i32, width: i32, channels: i32, relu: bool): void {
  const pixel = (<usize>channels) << 2;
  const row = <usize>width * pixel;
  const least = f32x4.splat(relu ? 0 : -Infinity);
  const one = i32x4.splat(1);
  for (let oy = 0; oy < height >> 1; ++oy, y += 2 * row) {
    let from = y;
    for (let ox = 0; ox < width >> 1; ++ox, from += 2 * pixel) {
      for (let c: usize = 0; c < pixel; c += 16, out += 16, winners += 4) {
        const v0 = v128.load(from + c);
        const v1 = v128.load(from + pixel + c);
        const v2 = v128.load(from + row + c);
        const v3 = v128.load(from + row + pixel + c);
        // NaN is the largest.
        const largest = f32x4.max(f32x4.max(v0, v1), f32x4.max(v2, v3));
        const not0 = f32x4.ne(v0, largest);
        const not1 = v128.and(not0, f32x4.ne(v1, largest));
        const not2 = v128.and(not1, f32x4.ne(v2, largest));
        // Each comparison that fails counts one.
        let place = v128.and(not0, one);
        place = i32x4.add(place, v128.and(not1, one));
        place = i32x4.add(place, v128.and(not2, one));
        place = v128.or(place, v128.and(f32x4.le(largest, least), i32x4.splat(NONE)));
        v128.store(out, largest);
        const half = i16x8.narrow_i32x4_u(place, place);
        v128.store32_lane(winners, i8x16.narrow_i16x8_u(half, half), 0);
      }
    }
  }
}
