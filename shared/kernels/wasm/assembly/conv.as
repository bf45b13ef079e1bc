import { layImage } from './image';
import { dotTile, storeTile } from './tile';

/**
 * Packs filters [taps][channels][filters] for the gradient by the input, which is a convolution of the output's
 * gradient by the filters turned by half a turn, with channels and filters exchanged: panels
 * [ceil(channels / 8)][taps * filters][8].
 */
export function packTurnedFilters(filter: usize, taps: i32, channels: i32, filters: i32, to: usize): void {
  const panelStep = (<usize>(taps * filters)) << 5;
  for (let c = 0; c < channels; c += 8, to += panelStep) {
    let at = to;
    for (let tap = taps - 1; tap >= 0; --tap) {
      for (let f = 0; f < filters; ++f, at += 32) {
        for (let i = 0; i < 8; ++i) {
          const from = filter + ((<usize>((tap * channels + c + i) * filters + f)) << 2);
          store<f32>(at + ((<usize>i) << 2), c + i < channels ? load<f32>(from) : 0);
        }
      }
    }
  }
}

/** Bytes that conv needs at `scratch`. */
export function convScratchBytes(paddedHeight: i32, paddedWidth: i32, channels: i32, needsPadding: bool): usize {
  return 128 + (needsPadding ? (<usize>(paddedHeight * paddedWidth * channels)) << 2 : 0);
}

/**
 * out [batch][outHeight][outWidth][filters] = valid convolution of the images with packed filters. With `needsPadding` each
 * image is first laid out padded and stretched (see layImage); without, it is read where it is. Four output
 * pixels at a time: for each row of the filter, the filter's width times channels are one run in memory.
 */
export function conv(
  x: usize,
  packed: usize,
  out: usize,
  batch: i32,
  height: i32,
  width: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  filters: i32,
  strideY: i32,
  strideX: i32,
  outHeight: i32,
  outWidth: i32,
  needsPadding: bool,
  paddedHeight: i32,
  paddedWidth: i32,
  top: i32,
  left: i32,
  stretchY: i32,
  stretchX: i32,
  scratch: usize,
): void {
  const pixel = (<usize>channels) << 2;
  const row = <usize>paddedWidth * pixel;
  const run = filterWidth * channels;
  const panelStep = (<usize>(filterHeight * run)) << 5;
  const laid = scratch + 128;
  const count = outHeight * outWidth;
  const outPixel = (<usize>filters) << 2;
  if (needsPadding) memory.fill(laid, 0, <usize>paddedHeight * row);
  for (let n = 0; n < batch; ++n) {
    let image = x;
    if (needsPadding) {
      layImage(
        x, height, width, channels, laid, paddedHeight, paddedWidth, top, left, stretchY, stretchX,
      );
      image = laid;
    }
    let panel = packed;
    for (let f = 0; f < filters; f += 8, panel += panelStep) {
      const columns = min(8, filters - f);
      let c = out + ((<usize>f) << 2);
      let oy = 0;
      let ox = 0;
      for (let p = 0; p < count; p += 4, c += outPixel << 2) {
        const a0 = image + <usize>(oy * strideY) * row + <usize>(ox * strideX) * pixel;
        // The last tile repeats its last pixel; what it computes twice is not stored.
        if (p + 1 < count && ++ox == outWidth) (ox = 0), ++oy;
        const a1 = image + <usize>(oy * strideY) * row + <usize>(ox * strideX) * pixel;
        if (p + 2 < count && ++ox == outWidth) (ox = 0), ++oy;
        const a2 = image + <usize>(oy * strideY) * row + <usize>(ox * strideX) * pixel;
        if (p + 3 < count && ++ox == outWidth) (ox = 0), ++oy;
        const a3 = image + <usize>(oy * strideY) * row + <usize>(ox * strideX) * pixel;
        if (++ox == outWidth) (ox = 0), ++oy;
        dotTile(a0, a1, a2, a3, filterHeight, run, row, panel, scratch);
        storeTile(scratch, c, outPixel, min(4, count - p), columns, false);
      }
    }
    x += (<usize>(height * width)) * pixel;
    out += <usize>count * outPixel;
  }
}
