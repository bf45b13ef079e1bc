// See winograd-tiles.as.
import { layImage } from './image';
import { roundsOnce } from './multiply-add';
import { dotFour, dotSix, packRows } from './tile';
import { laidBytes, mustLay, rowsOfTiles, transformInputs } from './winograd-tiles';
import { poolFour } from './winners';

// Tiles in one block, in whole rows of tiles: their 16 transforms stay in the second-level cache.
const FORWARD_TILES: i32 = 48;
/** Room behind a block's tiles, as products are computed for six or four at once. */
const SPARE_TILES: i32 = 5;

/** Bytes of the transformed filters: 16 times panels [ceil(n / 8)][k][8]. */
export function winogradFilterBytes(k: i32, n: i32): usize {
  return (<usize>(k * ((n + 7) >> 3))) << 9;
}

/**
 * Transforms filters [3][3][channels][filters] for winogradConv. Turned, they are those of the gradient by the
 * input: by half a turn, channels and filters exchanged.
 */
export function winogradFilters(filter: usize, channels: i32, filters: i32, turned: bool, to: usize): void {
  const k = turned ? filters : channels;
  const n = turned ? channels : filters;
  const kStep: usize = turned ? 4 : (<usize>filters) << 2;
  const nStep: usize = turned ? (<usize>filters) << 2 : 4;
  const tap = (<usize>(channels * filters)) << 2;
  const xi = winogradFilterBytes(k, n) >> 4;
  for (let j = 0; j < n; j += 8) {
    for (let i = 0; i < k; ++i) {
      for (let e = 0; e < 8; ++e, to += 4) {
        if (j + e >= n) {
          for (let p: usize = 0; p < 16; ++p) store<f32>(to + p * xi, 0);
          continue;
        }
        const from = filter + <usize>i * kStep + <usize>(j + e) * nStep;
        for (let y = 0; y < 4; ++y) {
          const g0 = filterColumn(from, tap, y, 0, turned);
          const g1 = filterColumn(from, tap, y, 1, turned);
          const g2 = filterColumn(from, tap, y, 2, turned);
          const at = to + <usize>(y << 2) * xi;
          store<f32>(at, g0);
          store<f32>(at + xi, (g0 + g1 + g2) * 0.5);
          store<f32>(at + (xi << 1), (g0 - g1 + g2) * 0.5);
          store<f32>(at + 3 * xi, g2);
        }
      }
    }
  }
}

/** Row y of the transform of column x of one 3 x 3 filter. */
function filterColumn(from: usize, tap: usize, y: i32, x: i32, turned: bool): f32 {
  const g0 = load<f32>(from + <usize>(turned ? 8 - x : x) * tap);
  const g1 = load<f32>(from + <usize>(turned ? 5 - x : 3 + x) * tap);
  const g2 = load<f32>(from + <usize>(turned ? 2 - x : 6 + x) * tap);
  if (y == 0) return g0;
  if (y == 1) return (g0 + g1 + g2) * 0.5;
  if (y == 2) return (g0 - g1 + g2) * 0.5;
  return g2;
}

/** Bytes that winogradConv needs at `scratch`. */
export function winogradScratchBytes(channels: i32, filters: i32, outHeight: i32, outWidth: i32): usize {
  const high = (outHeight + 1) >> 1;
  const wide = (outWidth + 1) >> 1;
  const tiles = <usize>(rowsOfTiles(high, wide, FORWARD_TILES) * wide + SPARE_TILES);
  const columns = <usize>((filters + 7) & ~7);
  return laidBytes(channels, high, wide) + (tiles << 6) * (<usize>channels + columns) + (columns << 2);
}

/**
 * out [batch][outHeight][outWidth][filters] = convolution of x [batch][height][width][channels], padded with zeros
 * (top and left in front, behind as far as needed), by filters from winogradFilters, plus bias [filters] unless it is 0, then
 * ReLU if relu. channels a multiple of 4. Unless winners is 0, out [batch][outHeight / 2][outWidth / 2][filters] is the max-pool
 * of that: each tile is a window. winners receives the places of the largest values, see poolFour; outHeight and outWidth are even,
 * filters a multiple of 4.
 */
export function winogradConv(
  x: usize,
  u: usize,
  bias: usize,
  relu: bool,
  out: usize,
  winners: usize,
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
  const isPooled = winners != 0;
  const high = (outHeight + 1) >> 1;
  const wide = (outWidth + 1) >> 1;
  const needsPadding = mustLay(height, width, high, wide, top, left);
  const pixel = (<usize>channels) << 2;
  const laidWidth = needsPadding ? 2 * wide + 2 : width;
  const row = <usize>laidWidth * pixel;
  const rows = rowsOfTiles(high, wide, FORWARD_TILES);
  const panels = (filters + 7) >> 3;
  const most = rows * wide + SPARE_TILES;
  const vStep = <usize>most * pixel;
  const panelStep = (<usize>most) << 5;
  const mStep = <usize>panels * panelStep;
  const uStep = (<usize>(channels * panels)) << 5;
  const v = scratch + laidBytes(channels, high, wide);
  const m = v + (vStep << 4);
  const biases = m + (mStep << 4);
  if (bias == 0) memory.fill(biases, 0, (<usize>panels) << 5);
  else packRows(bias, 0, 1, filters, biases, 32);
  if (needsPadding) memory.fill(scratch, 0, v - scratch);
  // The tiles behind a block are computed and not used.
  for (let xi: usize = 0; xi < 16; ++xi) {
    memory.fill(v + (xi + 1) * vStep - <usize>SPARE_TILES * pixel, 0, <usize>SPARE_TILES * pixel);
  }
  for (let n = 0; n < batch; ++n) {
    let image = x;
    if (needsPadding) {
      layImage(x, height, width, channels, scratch, 2 * high + 2, laidWidth, top, left);
      image = scratch;
    }
    for (let y = 0; y < high; y += rows) {
      const count = min(rows, high - y);
      for (let r = 0; r < count; ++r) {
        const from = image + <usize>(2 * (y + r)) * row;
        transformInputs(from, row, channels, wide, v + <usize>(r * wide) * pixel, vStep);
      }
      const tiles = count * wide;
      for (let xi: usize = 0; xi < 16; ++xi) {
        let panel = u + xi * uStep;
        let to = m + xi * mStep;
        for (let j = 0; j < panels; ++j, panel += pixel << 3, to += panelStep) {
          dotTiles(v + xi * vStep, tiles, channels, panel, to);
        }
      }
      for (let r = 0; r < count; ++r) {
        const from = m + ((<usize>(r * wide)) << 5);
        if (isPooled) {
          poolOutputs(from, mStep, panelStep, wide, filters, biases, relu, out, winners);
          out += (<usize>(wide * filters)) << 2;
          winners += <usize>(wide * filters);
          continue;
        }
        const oy = 2 * (y + r);
        const to = out + ((<usize>(oy * outWidth * filters)) << 2);
        storeOutputs(from, mStep, panelStep, wide, filters, biases, relu, to, outWidth, outHeight - oy > 1);
      }
    }
    x += <usize>(height * width) * pixel;
    if (!isPooled) out += (<usize>(outHeight * outWidth * filters)) << 2;
  }
}

/** Products m [tiles][8] of the rows of v [tiles][channels] with a panel [channels][8]. */
export function dotTiles(v: usize, tiles: i32, channels: i32, panel: usize, m: usize): void {
  const pixel = (<usize>channels) << 2;
  while (tiles > 0) {
    // Twelve sums hide the latency of a fused multiply-add; with an addition of its own, V8 has no registers for them.
    if (roundsOnce() && tiles > 4) {
      dotSix(v, pixel, channels, panel, m);
      v += 6 * pixel;
      m += 192;
      tiles -= 6;
    } else {
      dotFour(v, pixel, channels, panel, m);
      v += pixel << 2;
      m += 128;
      tiles -= 4;
    }
  }
}

/** Transforms a row of tiles' products m [16][panels][tiles][8] back to two rows (or one) of outputs. */
function storeOutputs(
  m: usize,
  step: usize,
  panelStep: usize,
  wide: i32,
  filters: i32,
  bias: usize,
  relu: bool,
  out: usize,
  outWidth: i32,
  both: bool,
): void {
  // NaN stays NaN.
  const low = f32x4.splat(relu ? 0 : -Infinity);
  const pixel = (<usize>filters) << 2;
  const row = <usize>outWidth * pixel;
  for (let t = 0; t < wide; ++t, m += 32, out += pixel << 1) {
    const two = 2 * t + 1 < outWidth;
    for (let f = 0; f < filters; f += 4) {
      const at = m + <usize>(f >> 3) * panelStep + ((<usize>(f & 4)) << 2);
      const p0 = upper(at, step);
      const p1 = upper(at + step, step);
      const p2 = upper(at + (step << 1), step);
      const p3 = upper(at + 3 * step, step);
      const to = out + ((<usize>f) << 2);
      const b = v128.load(bias + ((<usize>f) << 2));
      const n = min(4, filters - f);
      storeSome(to, f32x4.pmax(f32x4.add(leftOutput(p0, p1, p2), b), low), n);
      if (two) storeSome(to + pixel, f32x4.pmax(f32x4.add(rightOutput(p1, p2, p3), b), low), n);
      if (!both) continue;
      const q0 = lower(at, step);
      const q1 = lower(at + step, step);
      const q2 = lower(at + (step << 1), step);
      const q3 = lower(at + 3 * step, step);
      storeSome(to + row, f32x4.pmax(f32x4.add(leftOutput(q0, q1, q2), b), low), n);
      if (two) storeSome(to + row + pixel, f32x4.pmax(f32x4.add(rightOutput(q1, q2, q3), b), low), n);
    }
  }
}

/** Like storeOutputs, but stores the largest output of each tile and its place. */
function poolOutputs(
  m: usize,
  step: usize,
  panelStep: usize,
  wide: i32,
  filters: i32,
  bias: usize,
  relu: bool,
  out: usize,
  winners: usize,
): void {
  for (let t = 0; t < wide; ++t, m += 32) {
    for (let f = 0; f < filters; f += 4, out += 16, winners += 4) {
      const at = m + <usize>(f >> 3) * panelStep + ((<usize>(f & 4)) << 2);
      const b = v128.load(bias + ((<usize>f) << 2));
      const p0 = upper(at, step);
      const p1 = upper(at + step, step);
      const p2 = upper(at + (step << 1), step);
      const p3 = upper(at + 3 * step, step);
      const q0 = lower(at, step);
      const q1 = lower(at + step, step);
      const q2 = lower(at + (step << 1), step);
      const q3 = lower(at + 3 * step, step);
      poolFour(
        f32x4.add(leftOutput(p0, p1, p2), b),
        f32x4.add(rightOutput(p1, p2, p3), b),
        f32x4.add(leftOutput(q0, q1, q2), b),
        f32x4.add(rightOutput(q1, q2, q3), b),
        relu,
        out,
        winners,
      );
    }
  }
}

// @ts-ignore: decorator
@inline
function leftOutput(p0: v128, p1: v128, p2: v128): v128 {
  return f32x4.add(f32x4.add(p0, p1), p2);
}

// @ts-ignore: decorator
@inline
function rightOutput(p1: v128, p2: v128, p3: v128): v128 {
  return f32x4.sub(f32x4.sub(p1, p2), p3);
}

// @ts-ignore: decorator
@inline
function upper(at: usize, step: usize): v128 {
  const sum = f32x4.add(v128.load(at), v128.load(at + (step << 2)));
  return f32x4.add(sum, v128.load(at + (step << 3)));
}

// @ts-ignore: decorator
@inline
function lower(at: usize, step: usize): v128 {
  const difference = f32x4.sub(v128.load(at + (step << 2)), v128.load(at + (step << 3)));
  return f32x4.sub(difference, v128.load(at + 12 * step));
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
