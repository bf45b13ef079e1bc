// Winograd's minimal filtering with tiles of 6 x 6 inputs (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016): 36 products give 4 x 4 outputs of 3 x 3 taps, F(4x4, 3x3), or, for the filter's gradient, 3 x 3 taps from 4 x 4
// gradients, F(3x3, 4x4), where plain sums take 144. The points are 0, 5/8, -5/8, 3/2, -3/2 and infinity, with which the error is
// less than half of that with 0, 1, -1, 2, -2.
import { multiplyAdd } from './multiply-add';

export const A: f64 = 0.625;
export const B: f64 = 1.5;
export const AA: f64 = A * A;
export const BB: f64 = B * B;

/** Copies 6 x 6 pixels of an image from (y0, x0) to `to`, zeros beyond the image. */
export function layPatch(image: usize, height: i32, width: i32, pixel: usize, y0: i32, x0: i32, to: usize): void {
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
export function transformInput(from: usize, row: usize, pixel: usize, scratch: usize, v: usize, step: usize): void {
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
