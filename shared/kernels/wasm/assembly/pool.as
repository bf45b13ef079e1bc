/**
 * dx [batch][height][width][channels] of a max-pool: each window's gradient goes to the first of its largest
 * inputs, in row-major order. x is the pool's input, y its output [batch][outHeight][outWidth][channels].
 */
export function maxPoolGradient(
  dy: usize,
  x: usize,
  y: usize,
  dx: usize,
  batch: i32,
  height: i32,
  width: i32,
  channels: i32,
  windowHeight: i32,
  windowWidth: i32,
  strideY: i32,
  strideX: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
): void {
  const pixel = (<usize>channels) << 2;
  const image = <usize>(height * width) * pixel;
  memory.fill(dx, 0, <usize>batch * image);
  for (let n = 0; n < batch; ++n, x += image, dx += image) {
    for (let oy = 0; oy < outHeight; ++oy) {
      const y0 = max(0, oy * strideY - top);
      const y1 = min(height, oy * strideY - top + windowHeight);
      for (let ox = 0; ox < outWidth; ++ox, dy += pixel, y += pixel) {
        const x0 = max(0, ox * strideX - left);
        const x1 = min(width, ox * strideX - left + windowWidth);
        let c: usize = 0;
        for (; c + 16 <= pixel; c += 16) {
          const best = v128.load(y + c);
          let gradient = v128.load(dy + c);
          for (let iy = y0; iy < y1; ++iy) {
            for (let ix = x0; ix < x1; ++ix) {
              const at = <usize>(iy * width + ix) * pixel + c;
              const hit = f32x4.eq(v128.load(x + at), best);
              v128.store(dx + at, f32x4.add(v128.load(dx + at), v128.and(gradient, hit)));
              // A later input of the window with the same value gets nothing.
              gradient = v128.andnot(gradient, hit);
            }
          }
        }
        for (; c < pixel; c += 4) {
          const best = load<f32>(y + c);
          let gradient = load<f32>(dy + c);
          for (let iy = y0; iy < y1; ++iy) {
            for (let ix = x0; ix < x1; ++ix) {
              const at = <usize>(iy * width + ix) * pixel + c;
              if (load<f32>(x + at) == best) {
                store<f32>(dx + at, load<f32>(dx + at) + gradient);
                gradient = 0;
              }
            }
          }
        }
      }
    }
  }
}
