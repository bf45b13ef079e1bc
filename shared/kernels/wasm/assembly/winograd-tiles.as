// Convolutions of 3 x 3 taps with stride 1 by Winograd's minimal filtering: a tile of 4 x 4 inputs and 16 products
// where plain sums take 36, for 2 x 2 outputs (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// 2016, F(2x2, 3x3)); for the filter's gradient the same tile with 2 x 2 gradients for 3 x 3 taps, F(3x3, 2x2).
// Larger tiles need fewer products but lose precision.

/** Rows of tiles in a block. */
export function rowsOfTiles(high: i32, wide: i32, limit: i32): i32 {
  return max(1, min(high, limit / wide));
}

/** Whether an image must be laid out with zeros around it so that every tile lies within. */
export function mustLay(height: i32, width: i32, high: i32, wide: i32, top: i32, left: i32): bool {
  return top != 0 || left != 0 || height < 2 * high + 2 || width < 2 * wide + 2;
}

export function laidBytes(channels: i32, high: i32, wide: i32): usize {
  return (<usize>((2 * high + 2) * (2 * wide + 2) * channels)) << 2;
}

/** Transforms the 4 x 4 inputs of `count` tiles of one row, two pixels apart, to v [16][..][channels], step bytes apart. */
export function transformInputs(image: usize, row: usize, channels: i32, count: i32, v: usize, step: usize): void {
  const pixel = (<usize>channels) << 2;
  for (let tile = 0; tile < count; ++tile, image += pixel << 1) {
    for (let c: usize = 0; c < pixel; c += 16, v += 16) {
      let at = image + c;
      const a0 = v128.load(at);
      const a1 = v128.load(at + pixel);
      const a2 = v128.load(at + (pixel << 1));
      const a3 = v128.load(at + 3 * pixel);
      at += row;
      const b0 = v128.load(at);
      const b1 = v128.load(at + pixel);
      const b2 = v128.load(at + (pixel << 1));
      const b3 = v128.load(at + 3 * pixel);
      at += row;
      const c0 = v128.load(at);
      const c1 = v128.load(at + pixel);
      const c2 = v128.load(at + (pixel << 1));
      const c3 = v128.load(at + 3 * pixel);
      at += row;
      transformRow(f32x4.sub(a0, c0), f32x4.sub(a1, c1), f32x4.sub(a2, c2), f32x4.sub(a3, c3), v, step);
      let to = v + (step << 2);
      transformRow(f32x4.add(b0, c0), f32x4.add(b1, c1), f32x4.add(b2, c2), f32x4.add(b3, c3), to, step);
      to += step << 2;
      transformRow(f32x4.sub(c0, b0), f32x4.sub(c1, b1), f32x4.sub(c2, b2), f32x4.sub(c3, b3), to, step);
      to += step << 2;
      const d0 = v128.load(at);
      const d1 = v128.load(at + pixel);
      const d2 = v128.load(at + (pixel << 1));
      const d3 = v128.load(at + 3 * pixel);
      transformRow(f32x4.sub(b0, d0), f32x4.sub(b1, d1), f32x4.sub(b2, d2), f32x4.sub(b3, d3), to, step);
    }
  }
}

// @ts-ignore: decorator
@inline
function transformRow(p0: v128, p1: v128, p2: v128, p3: v128, to: usize, step: usize): void {
  v128.store(to, f32x4.sub(p0, p2));
  v128.store(to + step, f32x4.add(p1, p2));
  v128.store(to + (step << 1), f32x4.sub(p2, p1));
  v128.store(to + 3 * step, f32x4.sub(p1, p3));
}
