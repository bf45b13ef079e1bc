import { dotTile, outerTile, packRows, storeTile } from './tile';

/**
 * Lays one image [height][width][channels] into `to` [.., paddedWidth, channels]: its first pixel at (top, left),
 * pixels stretchY and stretchX apart. What lies outside of `to` (negative padding) is left out; what lies between
 * is not written, so `to` must be zero there.
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

/** Packs filters [height][width][channels][filters] for conv: panels [ceil(filters / 8)][height * width * channels][8]. */
export function packFilters(filter: usize, taps: i32, channels: i32, filters: i32, to: usize): void {
  const rows = taps * channels;
  packRows(filter, (<usize>filters) << 2, rows, filters, to, (<usize>rows) << 5);
}

/**
 * The same filters for the gradient by the input, which is a convolution of the output's gradient by the filters
 * turned by half a turn, with channels and filters exchanged: panels [ceil(channels / 8)][taps * filters][8].
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
export function convScratchBytes(paddedHeight: i32, paddedWidth: i32, channels: i32, lay: bool): usize {
  return 128 + (lay ? (<usize>(paddedHeight * paddedWidth * channels)) << 2 : 0);
}

/**
 * out [batch][outHeight][outWidth][filters] = valid convolution of the images with packed filters. With `lay` each
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
  lay: bool,
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
  if (lay) memory.fill(laid, 0, <usize>paddedHeight * row);
  for (let n = 0; n < batch; ++n) {
    let image = x;
    if (lay) {
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

// Rows of the output whose gradient is worked off together; these and the input under them fit the first cache.
const BLOCK_BYTES: i32 = 12288;

function blockRows(outHeight: i32, outWidth: i32, filters: i32): i32 {
  const bytes = outWidth * (((filters + 7) >> 3) << 5);
  return max(1, min(outHeight, BLOCK_BYTES / bytes));
}

/** Bytes that convFilterGradient needs at `scratch`. */
export function convFilterGradientScratchBytes(
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
  filters: i32,
  outHeight: i32,
  outWidth: i32,
  lay: bool,
  paddedHeight: i32,
  paddedWidth: i32,
): usize {
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  const run = <usize>(((filterWidth * channels + 3) >> 2) << 2);
  const laid: usize = lay ? (<usize>(paddedHeight * paddedWidth * channels)) << 2 : 0;
  const block = <usize>(blockRows(outHeight, outWidth, filters) * outWidth) * columns;
  // 16: the last tile of a run may read past the image.
  return 128 + laid + 16 + block + <usize>filterHeight * run * columns;
}

/**
 * out [filterHeight][filterWidth][channels][filters] = sum over batch and output pixels of the input under each
 * tap times the output's gradient dy [batch][outHeight][outWidth][filters]. `lay` as for conv; it must be set when
 * filterWidth * channels is no multiple of 4. Sums run over a block of rows first, then over blocks in order.
 */
export function convFilterGradient(
  x: usize,
  dy: usize,
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
  lay: bool,
  paddedHeight: i32,
  paddedWidth: i32,
  top: i32,
  left: i32,
  scratch: usize,
): void {
  const pixel = (<usize>channels) << 2;
  const row = <usize>paddedWidth * pixel;
  const run = filterWidth * channels;
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  const outPixel = (<usize>filters) << 2;
  const rowsAtOnce = blockRows(outHeight, outWidth, filters);
  const laid = scratch + 128;
  const block = laid + (lay ? <usize>paddedHeight * row : 0) + 16;
  const sums = block + <usize>(rowsAtOnce * outWidth) * columns;
  const sumRow = <usize>((run + 3) & ~3) * columns;
  memory.fill(sums, 0, <usize>filterHeight * sumRow);
  if (lay) memory.fill(laid, 0, <usize>paddedHeight * row + 16);
  for (let n = 0; n < batch; ++n) {
    let image = x;
    if (lay) {
      layImage(x, height, width, channels, laid, paddedHeight, paddedWidth, top, left, 1, 1);
      image = laid;
    }
    for (let oy = 0; oy < outHeight; oy += rowsAtOnce) {
      const rows = min(rowsAtOnce, outHeight - oy);
      const pixels = rows * outWidth;
      const panelStep = (<usize>pixels) << 5;
      packRows(dy + <usize>(oy * outWidth) * outPixel, outPixel, pixels, filters, block, panelStep);
      for (let ky = 0; ky < filterHeight; ++ky) {
        const under = image + <usize>(oy * strideY + ky) * row;
        let sum = sums + <usize>ky * sumRow;
        for (let m = 0; m < run; m += 4, sum += columns << 2) {
          let panel = block;
          for (let c: usize = 0; c < columns; c += 32, panel += panelStep) {
            outerTile(
              under + ((<usize>m) << 2), <usize>strideX * pixel, <usize>strideY * row, rows, outWidth, panel, scratch,
            );
            storeTile(scratch, sum + c, columns, 4, 8, true);
          }
        }
      }
    }
    x += (<usize>(height * width)) * pixel;
    dy += <usize>(outHeight * outWidth) * outPixel;
  }
  for (let ky = 0; ky < filterHeight; ++ky) {
    for (let m = 0; m < run; ++m, out += outPixel) {
      memory.copy(out, sums + <usize>ky * sumRow + <usize>m * columns, outPixel);
    }
  }
}
