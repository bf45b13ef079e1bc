/**
 * Lays one image [height][width][channels] into `to` [.., paddedWidth, channels]: its first pixel at (top, left),
 * pixels stretchY and stretchX apart. Pixels outside of `to` (negative padding) are left out. Gaps between
 * pixels are not written, so `to` must be zero there.
 */
export function layImage(
  from: usize,
  height: i32,
  width: i32,
  channels: i32,
  to: usize,
  paddedHeight: i32,
  paddedWidth: i32,
  top: i32,
  left: i32,
  stretchY: i32,
  stretchX: i32,
): void {
  const pixel = (<usize>channels) << 2;
  for (let y = 0; y < height; ++y) {
    const toY = top + y * stretchY;
    if (toY < 0 || toY >= paddedHeight) continue;
    const fromRow = from + <usize>(y * width) * pixel;
    const toRow = to + <usize>(toY * paddedWidth) * pixel;
    if (stretchX == 1) {
      const first = max(0, -left);
      const last = min(width, paddedWidth - left);
      if (last > first) {
        memory.copy(
          toRow + <usize>(left + first) * pixel,
          fromRow + <usize>first * pixel,
          <usize>(last - first) * pixel,
        );
      }
    } else {
      for (let x = 0; x < width; ++x) {
        const toX = left + x * stretchX;
        if (toX < 0 || toX >= paddedWidth) continue;
        memory.copy(toRow + <usize>toX * pixel, fromRow + <usize>x * pixel, pixel);
      }
    }
  }
}
