/**
 * Lays one image [height][width][channels] into `to` [paddedHeight][paddedWidth][channels], its first pixel at (top, left). Pixels
 * outside of `to` (negative padding) are left out. Around the image nothing is written, so `to` must be zero there.
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
): void {
  const pixel = (<usize>channels) << 2;
  const first = max(0, -left);
  const last = min(width, paddedWidth - left);
  if (last <= first) return;
  for (let y = max(0, -top); y < min(height, paddedHeight - top); ++y) {
    memory.copy(
      to + <usize>((top + y) * paddedWidth + left + first) * pixel,
      from + <usize>(y * width + first) * pixel,
      <usize>(last - first) * pixel,
    );
  }
}
