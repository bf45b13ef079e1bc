// The gradient of 3 x 3 filters by F(3x3, 2x2); see winograd-tiles.as. Summed over tiles before it is transformed back, so
// that is done once for the whole batch.
import { layImage } from './image';
import { outerTile, storeTile } from './tile';
import { laidBytes, mustLay, rowsOfTiles, transformInputs } from './winograd-tiles';

// As FORWARD_TILES in winograd.as; here the transforms of the gradients lie beside those of the inputs.
const GRADIENT_TILES: i32 = 72;

/** Bytes that winogradFilterGradient needs at `scratch`. */
export function winogradFilterGradientScratchBytes(
  channels: i32,
  filters: i32,
  outHeight: i32,
  outWidth: i32,
): usize {
  const high = (outHeight + 1) >> 1;
  const wide = (outWidth + 1) >> 1;
  const tiles = <usize>(rowsOfTiles(high, wide, GRADIENT_TILES) * wide);
  const columns = <usize>((filters + 7) & ~7);
  return (
    128 +
    laidBytes(channels, high, wide) +
    (tiles << 6) * (<usize>channels + columns) +
    ((<usize>channels * columns) << 6)
  );
}

/**
 * out [3][3][channels][filters] = gradient of the filters from x [batch][height][width][channels], padded with zeros,
 * and the output's gradient dy [batch][outHeight][outWidth][filters]. channels and filters multiples of 4.
 */
export function winogradFilterGradient(
  x: usize,
  dy: usize,
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
  const high = (outHeight + 1) >> 1;
  const wide = (outWidth + 1) >> 1;
  const needsPadding = mustLay(height, width, high, wide, top, left);
  const pixel = (<usize>channels) << 2;
  const dyPixel = (<usize>filters) << 2;
  const laidWidth = needsPadding ? 2 * wide + 2 : width;
  const row = <usize>laidWidth * pixel;
  const rows = rowsOfTiles(high, wide, GRADIENT_TILES);
  const panels = (filters + 7) >> 3;
  const most = rows * wide;
  const vStep = <usize>most * pixel;
  const dStep = (<usize>(most * panels)) << 5;
  const sumStep = (<usize>(channels * panels)) << 5;
  const laid = scratch + 128;
  const v = laid + laidBytes(channels, high, wide);
  const d = v + (vStep << 4);
  const sums = d + (dStep << 4);
  memory.fill(laid, 0, sums + (sumStep << 4) - laid);
  for (let n = 0; n < batch; ++n) {
    let image = x;
    if (needsPadding) {
      layImage(x, height, width, channels, laid, 2 * high + 2, laidWidth, top, left);
      image = laid;
    }
    for (let y = 0; y < high; y += rows) {
      const count = min(rows, high - y);
      const tiles = count * wide;
      const panelStep = (<usize>tiles) << 5;
      for (let r = 0; r < count; ++r) {
        const oy = 2 * (y + r);
        transformInputs(image + <usize>oy * row, row, channels, wide, v + <usize>(r * wide) * pixel, vStep);
        const from = dy + <usize>(oy * outWidth) * dyPixel;
        const to = d + ((<usize>(r * wide)) << 5);
        transformGradients(from, outWidth, dyPixel, outHeight - oy > 1, wide, to, dStep, panelStep);
      }
      for (let xi: usize = 0; xi < 16; ++xi) {
        let sum = sums + xi * sumStep;
        for (let c: usize = 0; c < pixel; c += 16) {
          let panel = d + xi * dStep;
          for (let j = 0; j < panels; ++j, panel += panelStep, sum += 128) {
            outerTile(v + xi * vStep + c, pixel, 0, 1, tiles, panel, scratch, 32);
            storeTile(scratch, sum, 32, 4, 8, true);
          }
        }
      }
    }
    x += <usize>(height * width) * pixel;
    dy += <usize>(outHeight * outWidth) * dyPixel;
  }
  storeGradient(sums, sumStep, channels, panels, filters, out);
}

/** Transforms 2 x 2 gradients of a row of tiles to d [16][panels][..][8]; beyond the output's edge they are zero. */
function transformGradients(
  dy: usize,
  outWidth: i32,
  pixel: usize,
  both: bool,
  wide: i32,
  d: usize,
  step: usize,
  panelStep: usize,
): void {
  const row = <usize>outWidth * pixel;
  const zero = f32x4.splat(0);
  const half = f32x4.splat(0.5);
  for (let t = 0; t < wide; ++t, dy += pixel << 1, d += 32) {
    const two = 2 * t + 1 < outWidth;
    for (let f: usize = 0; f < pixel; f += 16) {
      const at = dy + f;
      const a0 = v128.load(at);
      const a1 = two ? v128.load(at + pixel) : zero;
      const b0 = both ? v128.load(at + row) : zero;
      const b1 = both && two ? v128.load(at + row + pixel) : zero;
      let to = d + (f >> 5) * panelStep + (f & 16);
      gradientRow(a0, a1, half, to, step);
      to += step << 2;
      gradientRow(f32x4.mul(half, f32x4.add(a0, b0)), f32x4.mul(half, f32x4.add(a1, b1)), half, to, step);
      to += step << 2;
      gradientRow(f32x4.mul(half, f32x4.sub(a0, b0)), f32x4.mul(half, f32x4.sub(a1, b1)), half, to, step);
      to += step << 2;
      gradientRow(b0, b1, half, to, step);
    }
  }
}

// @ts-ignore: decorator
@inline
function gradientRow(p0: v128, p1: v128, half: v128, to: usize, step: usize): void {
  v128.store(to, p0);
  v128.store(to + step, f32x4.mul(half, f32x4.add(p0, p1)));
  v128.store(to + (step << 1), f32x4.mul(half, f32x4.sub(p0, p1)));
  v128.store(to + 3 * step, p1);
}

/** Transforms sums [16][channels / 4][panels][4][8] back to out [3][3][channels][filters]. */
function storeGradient(sums: usize, step: usize, channels: i32, panels: i32, filters: i32, out: usize): void {
  const tap = (<usize>(channels * filters)) << 2;
  for (let c = 0; c < channels; ++c) {
    for (let f = 0; f < filters; ++f, out += 4) {
      const at = sums + ((<usize>((c >> 2) * panels + (f >> 3))) << 7) + ((<usize>((c & 3) * 8 + (f & 7))) << 2);
      for (let y = 0; y < 3; ++y) {
        const p0 = sumColumn(at, step, y);
        const p1 = sumColumn(at + step, step, y);
        const p2 = sumColumn(at + (step << 1), step, y);
        const p3 = sumColumn(at + 3 * step, step, y);
        const to = out + <usize>(3 * y) * tap;
        store<f32>(to, p0 + p1 + p2);
        store<f32>(to + tap, p1 - p2);
        store<f32>(to + (tap << 1), p1 + p2 - p3);
      }
    }
  }
}

/** Row y of the back transform of a column of four sums, four steps apart. */
function sumColumn(at: usize, step: usize, y: i32): f32 {
  const m0 = load<f32>(at);
  const m1 = load<f32>(at + (step << 2));
  const m2 = load<f32>(at + (step << 3));
  const m3 = load<f32>(at + 12 * step);
  if (y == 0) return m0 + m1 + m2;
  if (y == 1) return m1 - m2;
  return m1 + m2 - m3;
}
