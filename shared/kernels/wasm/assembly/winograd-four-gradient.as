// Winograd's minimal filtering with tiles of 6 x 6 inputs (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016): for the filter's gradient, 36 products give 3 x 3 taps from 4 x 4 gradients, F(3x3, 4x4), where plain sums
// take 144. The points are 0, 5/8, -5/8, 3/2, -3/2 and infinity, with which the error is
// less than half of that with 0, 1, -1, 2, -2. Summed over tiles before it is
// transformed back, so that is done once for the whole batch.
import { multiplyAdd } from './multiply-add';
import { outerTile, storeTile } from './tile';

const A: f64 = 0.625;
const B: f64 = 1.5;
const AA: f64 = A * A;
const BB: f64 = B * B;

/** Tiles whose transforms are computed at once; they stay in the second-level cache. */
const BLOCK: i32 = 36;

// @ts-ignore: decorator
@inline
function stepOf(columns: i32): usize {
  return ((<usize>(BLOCK * columns)) << 2) + 64;
}

/** Bytes that winogradFourFilterGradient needs at `scratch`. */
export function winogradFourFilterGradientScratchBytes(channels: i32, filters: i32): usize {
  const columns = (filters + 7) & ~7;
  const sums: usize = 36 * (((<usize>(channels * columns)) << 2) + 64);
  return 704 + (<usize>(36 * channels) << 2) + 36 * (stepOf(channels) + stepOf(columns)) + sums;
}

/**
 * out [3][3][channels][filters] = gradient of the filters from x [batch][height][width][channels], padded with zeros,
 * and the output's gradient dy [batch][outHeight][outWidth][filters]. channels and filters multiples of 4.
 */
export function winogradFourFilterGradient(
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
  const high = (outHeight + 3) >> 2;
  const wide = (outWidth + 3) >> 2;
  const pixel = (<usize>channels) << 2;
  const dyPixel = (<usize>filters) << 2;
  const panels = (filters + 7) >> 3;
  const t = scratch + 576;
  const patch = t + 128;
  const v = patch + 36 * pixel;
  const vStep = stepOf(channels);
  const d = v + 36 * vStep;
  const dStep = stepOf(panels << 3);
  const sums = d + 36 * dStep;
  const sumStep = ((<usize>(channels * panels)) << 5) + 64;
  const panelStep = (<usize>BLOCK) << 5;
  const tiles = batch * high * wide;
  // Where the last panel has but four filters, the others stay 0.
  memory.fill(d, 0, sums + 36 * sumStep - d);
  let n = 0;
  let ty = 0;
  let tx = 0;
  for (let first = 0; first < tiles; first += BLOCK) {
    const count = min(BLOCK, tiles - first);
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
      const oy = 4 * ty;
      const ox = 4 * tx;
      const gradients = dy + <usize>((n * outHeight + oy) * outWidth + ox) * dyPixel;
      const rows = min(4, outHeight - oy);
      const columns = min(4, outWidth - ox);
      for (let f: usize = 0; f < dyPixel; f += 16) {
        const panel = d + (f >> 5) * panelStep + ((<usize>i) << 5) + (f & 16);
        transformGradient(gradients + f, <usize>outWidth * dyPixel, dyPixel, rows, columns, scratch, panel, dStep);
      }
      if (++tx == wide) {
        tx = 0;
        if (++ty == high) (ty = 0), ++n;
      }
    }
    for (let xi: usize = 0; xi < 36; ++xi) {
      let sum = sums + xi * sumStep;
      for (let c: usize = 0; c < pixel; c += 16) {
        let panel = d + xi * dStep;
        for (let j = 0; j < panels; ++j, panel += panelStep, sum += 128) {
          outerTile(v + xi * vStep + c, pixel, 0, 1, count, panel, t, 32);
          storeTile(t, sum, 32, 4, 8, true);
        }
      }
    }
  }
  storeGradient(sums, sumStep, channels, panels, filters, out);
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

/** Transforms rows x columns gradients of four filters to d [36], step bytes apart; the others of 4 x 4 are zero. */
function transformGradient(
  dy: usize,
  row: usize,
  pixel: usize,
  rows: i32,
  columns: i32,
  scratch: usize,
  d: usize,
  step: usize,
): void {
  const zero = f32x4.splat(0);
  for (let x = 0; x < 4; ++x, dy += pixel) {
    const isColumn = x < columns;
    const g0 = isColumn ? v128.load(dy) : zero;
    const g1 = isColumn && rows > 1 ? v128.load(dy + row) : zero;
    const g2 = isColumn && rows > 2 ? v128.load(dy + 2 * row) : zero;
    const g3 = isColumn && rows > 3 ? v128.load(dy + 3 * row) : zero;
    gradientSix(g0, g1, g2, g3, scratch + <usize>(x << 4), 64);
  }
  for (let y: usize = 0; y < 6; ++y, d += 6 * step) {
    const from = scratch + (y << 6);
    gradientSix(v128.load(from), v128.load(from, 16), v128.load(from, 32), v128.load(from, 48), d, step);
  }
}

/** The polynomial of four gradients at each point. */
// @ts-ignore: decorator
@inline
function gradientSix(g0: v128, g1: v128, g2: v128, g3: v128, to: usize, step: usize): void {
  v128.store(to, g0);
  let even = multiplyAdd(f32x4.splat(<f32>AA), g2, g0);
  let odd = multiplyAdd(f32x4.splat(<f32>AA), g3, g1);
  v128.store(to + step, multiplyAdd(f32x4.splat(<f32>A), odd, even));
  v128.store(to + 2 * step, multiplyAdd(f32x4.splat(<f32>-A), odd, even));
  even = multiplyAdd(f32x4.splat(<f32>BB), g2, g0);
  odd = multiplyAdd(f32x4.splat(<f32>BB), g3, g1);
  v128.store(to + 3 * step, multiplyAdd(f32x4.splat(<f32>B), odd, even));
  v128.store(to + 4 * step, multiplyAdd(f32x4.splat(<f32>-B), odd, even));
  v128.store(to + 5 * step, g3);
}

/** Transforms sums [36][channels / 4][panels][4][8] back to out [3][3][channels][filters]. */
function storeGradient(sums: usize, step: usize, channels: i32, panels: i32, filters: i32, out: usize): void {
  const tap = (<usize>(channels * filters)) << 2;
  for (let c = 0; c < channels; ++c) {
    for (let f = 0; f < filters; ++f, out += 4) {
      const at = sums + ((<usize>((c >> 2) * panels + (f >> 3))) << 7) + ((<usize>((c & 3) * 8 + (f & 7))) << 2);
      for (let y = 0; y < 3; ++y) {
        const p0 = sumColumn(at, step, y);
        const p1 = sumColumn(at + step, step, y);
        const p2 = sumColumn(at + 2 * step, step, y);
        const p3 = sumColumn(at + 3 * step, step, y);
        const p4 = sumColumn(at + 4 * step, step, y);
        const p5 = sumColumn(at + 5 * step, step, y);
        const to = out + <usize>(3 * y) * tap;
        store<f32>(to, <f32>tapOf(0, p0, p1, p2, p3, p4, p5));
        store<f32>(to + tap, <f32>tapOf(1, p0, p1, p2, p3, p4, p5));
        store<f32>(to + 2 * tap, <f32>tapOf(2, p0, p1, p2, p3, p4, p5));
      }
    }
  }
}

/** Tap y of the back transform of a column of six sums, six steps apart. */
// @ts-ignore: decorator
@inline
function sumColumn(at: usize, step: usize, y: i32): f64 {
  return tapOf(
    y,
    <f64>load<f32>(at),
    <f64>load<f32>(at + 6 * step),
    <f64>load<f32>(at + 12 * step),
    <f64>load<f32>(at + 18 * step),
    <f64>load<f32>(at + 24 * step),
    <f64>load<f32>(at + 30 * step),
  );
}

/** Tap i of values at the points, each divided by the product of the distances to the other points. */
// @ts-ignore: decorator
@inline
function tapOf(i: i32, m0: f64, m1: f64, m2: f64, m3: f64, m4: f64, m5: f64): f64 {
  const a: f64 = 1 / (2 * AA * (AA - BB));
  const b: f64 = 1 / (2 * BB * (BB - AA));
  if (i == 0) return m0 / (AA * BB) + a * (m1 + m2) + b * (m3 + m4);
  if (i == 1) return a * A * (m1 - m2) + b * B * (m3 - m4);
  return a * AA * (m1 + m2) + b * BB * (m3 + m4) + m5;
}
