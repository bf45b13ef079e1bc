// Gradients of a 3 x 3 convolution with stride 1 whose outputs went through ReLU and a max-pool of 2 x 2. At most one output
// of four has a gradient, so the sums run over those alone. winners [batch][outHeight / 2][outWidth / 2][filters] has their places:
// see winners.as.
import { multiplyAdd } from './multiply-add';
import { GATHERED, gatherImage, GROUP, layTaps, TAPS } from './pooled-gather';
import { codeBytes, codeWinners, filtersWith, filtersWithPlace } from './winners';

/** Bytes of nine sums of four channels. */
const NINE: usize = 144;
/** Bytes of an entry of a list: a place in memory, and a gradient. */
const ENTRY: usize = 8;

// @ts-ignore: decorator
@inline
function planeBytes(outHeight: i32, outWidth: i32): usize {
  return (<usize>((outHeight + 2) * (outWidth + 2))) << 4;
}

/** Bytes of the count of each filter's list, or of the start of each output's. */
// @ts-ignore: decorator
@inline
function indexBytes(filters: i32, outHeight: i32, outWidth: i32): usize {
  return (<usize>max(filters, outHeight * (outWidth + 1))) << 2;
}

/** Bytes that both gradients need at `scratch`. */
export function pooledScratchBytes(channels: i32, filters: i32, outHeight: i32, outWidth: i32): usize {
  const entries = <usize>((outHeight >> 1) * (outWidth >> 1) * filters) * ENTRY;
  const sums = NINE * <usize>((channels >> 2) * filters);
  const index = indexBytes(filters, outHeight, outWidth);
  return 160 + entries + index + planeBytes(outHeight, outWidth) + sums + codeBytes(outWidth >> 1, filters);
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
  const listStep = cells * ENTRY;
  const lists = scratch + 160;
  const counts = lists + listStep * <usize>filters;
  const plane = counts + indexBytes(filters, outHeight, outWidth);
  const sums = plane + planeBytes(outHeight, outWidth);
  const codes = sums + NINE * <usize>(blocks * filters);
  memory.fill(bias, 0, (<usize>filters) << 2);
  memory.fill(plane, 0, planeBytes(outHeight, outWidth) + NINE * <usize>(blocks * filters));
  for (let n = 0; n < batch; ++n) {
    memory.fill(counts, 0, (<usize>filters) << 2);
    for (let y = 0; y < high; ++y) {
      codeWinners(dy, winners, wide, filters, codes);
      winners += <usize>(wide * filters);
      let code = codes;
      for (let x = 0; x < wide; ++x, dy += (<usize>filters) << 2) {
        const at = <usize>(2 * y) * row + ((<usize>x) << 5);
        for (let group: usize = 0; group < <usize>filters; group += 32, code += 32) {
          for (let bits = filtersWithPlace(code); bits != 0; bits &= bits - 1) {
            const i = <usize>ctz(bits);
            const f = group + i;
            const place = <usize>load<u8>(code + i);
            const count = load<u32>(counts + (f << 2));
            const to = lists + f * listStep + <usize>count * ENTRY;
            store<u32>(to, <u32>(at + (place >> 1) * row + ((place & 1) << 4)));
            store<f32>(to, load<f32>(dy + (f << 2)), 4);
            store<u32>(counts + (f << 2), count + 1);
          }
        }
      }
    }
    let list = lists;
    for (let f: usize = 0; f < <usize>filters; ++f, list += listStep) {
      let sum: f32 = 0;
      for (let i: u32 = 0, at = list + 4; i < load<u32>(counts + (f << 2)); ++i, at += ENTRY) sum += load<f32>(at);
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
  for (; count > 0; --count, list += ENTRY) {
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
  const starts = lists + <usize>(cells * filters) * ENTRY;
  const plane = starts + indexBytes(filters, outHeight, outWidth);
  const taps = plane + planeBytes(outHeight, outWidth);
  const codes = taps + NINE * <usize>(blocks * filters);
  const isGathered = channels % GATHERED == 0;
  if (isGathered) layTaps(filter, channels, filters, taps);
  else layNines(filter, channels, filters, taps);
  const rows = min(height, outHeight + 2 - top);
  const columns = min(width, outWidth + 2 - left);
  const pixel = (<usize>channels) << 2;
  if (!isGathered && (rows < height || columns < width)) memory.fill(dx, 0, <usize>(batch * height * width) * pixel);
  for (let n = 0; n < batch; ++n, dx += <usize>(height * width) * pixel) {
    listsByOutput(dy, winners, high, wide, filters, isGathered, lists, starts, codes);
    dy += (<usize>(cells * filters)) << 2;
    winners += <usize>(cells * filters);
    if (isGathered) {
      gatherImage(starts, taps, dx, height, width, channels, filters, 2 * high, 2 * wide, top, left);
      continue;
    }
    for (let block = 0; block < blocks; ++block) {
      memory.fill(plane, 0, planeBytes(outHeight, outWidth));
      const weights = taps + NINE * <usize>(block * filters);
      let start = starts;
      for (let y = 0; y < 2 * high; ++y, start += 4) {
        let at = plane + <usize>y * row;
        for (let x = 0; x < 2 * wide; ++x, at += 16, start += 4) {
          const list = <usize>load<u32>(start);
          const end = <usize>load<u32>(start, 4);
          if (list < end) addTaps(list, end, weights, at, row);
        }
      }
      const image = dx + ((<usize>block) << 4);
      for (let y = 0; y < rows; ++y) {
        let from = plane + ((<usize>((y + top) * (outWidth + 2) + left)) << 4);
        let pixels = image + <usize>(y * width) * pixel;
        for (let x = 0; x < columns; ++x, from += 16, pixels += pixel) v128.store(pixels, v128.load(from));
      }
    }
  }
}

/** Lays filters [3][3][channels][filters] as [channels / 4][filters][3][3][4]. */
function layNines(filter: usize, channels: i32, filters: i32, to: usize): void {
  for (let block: usize = 0; block < <usize>channels; block += 4) {
    for (let f: usize = 0; f < <usize>filters; ++f) {
      for (let tap: usize = 0; tap < 9; ++tap) {
        for (let c: usize = 0; c < 4; ++c, to += 4) {
          const at = (tap * <usize>channels + block + c) * <usize>filters + f;
          store<f32>(to, load<f32>(filter + (at << 2)));
        }
      }
    }
  }
}

/**
 * For each output in row-major order, the list of (place of the filter's taps, gradient) of the filters whose largest output is there,
 * one behind the other. starts [2 * high][2 * wide + 1] has where they start, and where the last one of each row ends.
 */
function listsByOutput(
  dy: usize,
  winners: usize,
  high: i32,
  wide: i32,
  filters: i32,
  isGathered: bool,
  list: usize,
  start: usize,
  codes: usize,
): void {
  const filterStep = isGathered ? TAPS : NINE;
  const columnStep: usize = isGathered ? GROUP : 0;
  const row = <usize>(wide * filters);
  for (let y = 0; y < high; ++y, dy += row << 2, winners += row) {
    codeWinners(dy, winners, wide, filters, codes);
    for (let lower: u8 = 0; lower < 4; lower += 2) {
      let values = dy;
      let window = codes;
      let column: usize = 0;
      for (let x = 0; x < wide; ++x, values += (<usize>filters) << 2, window += codeBytes(1, filters)) {
        for (let right: u8 = 0; right < 2; ++right, column += columnStep, start += 4) {
          store<u32>(start, <u32>list);
          for (let group: usize = 0; group < <usize>filters; group += 32) {
            for (let bits = filtersWith(window + group, lower + right); bits != 0; bits &= bits - 1, list += ENTRY) {
              const f = group + <usize>ctz(bits);
              store<u32>(list, <u32>(f * filterStep - column));
              store<f32>(list, load<f32>(values + (f << 2)), 4);
            }
          }
        }
      }
      store<u32>(start, <u32>list);
      start += 4;
    }
  }
}

/** Adds to 3 x 3 pixels of a plane, for a list of (place in the weights, value), value times the nine taps there. */
export function addTaps(list: usize, end: usize, weights: usize, at: usize, row: usize): void {
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
  for (; list < end; list += ENTRY) {
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
