/**
 * Adds patches [batch][outHeight][outWidth][filterHeight][filterWidth][channels] to the pixels of dx [batch][height][width]
 * [channels] under them: those of a convolution with these strides whose input is padded at the top and the left.
 */
export function addPatches(
  patches: usize,
  dx: usize,
  batch: i32,
  height: i32,
  width: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideY: i32,
  strideX: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
): void {
  const pixel = (<usize>channels) << 2;
  const run = <usize>filterWidth * pixel;
  for (let n = 0; n < batch; ++n, dx += <usize>(height * width) * pixel) {
    for (let oy = 0; oy < outHeight; ++oy) {
      for (let ox = 0; ox < outWidth; ++ox) {
        const x = ox * strideX - left;
        const first = max(0, -x);
        const count = min(filterWidth, width - x) - first;
        for (let ky = 0; ky < filterHeight; ++ky, patches += run) {
          const y = oy * strideY - top + ky;
          if (y < 0 || y >= height || count <= 0) continue;
          const to = dx + <usize>(y * width + x + first) * pixel;
          addTo(to, patches + <usize>first * pixel, count * channels);
        }
      }
    }
  }
}

/** to[i] += from[i] for n floats. */
// @ts-ignore: decorator
@inline
function addTo(to: usize, from: usize, n: i32): void {
  for (; n >= 4; n -= 4, to += 16, from += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  for (; n > 0; --n, to += 4, from += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}
