import { layImage } from './image';
import { outerTile, packRows, storeTile } from './tile';

// Rows of the output in one block; their gradients and the input under them fit into the first-level cache.
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
  needsPadding: bool,
  paddedHeight: i32,
  paddedWidth: i32,
): usize {
  const columns = (<usize>((filters + 7) >> 3)) << 5;
  const run = <usize>(((filterWidth * channels + 3) >> 2) << 2);
  const laid: usize = needsPadding ? (<usize>(paddedHeight * paddedWidth * channels)) << 2 : 0;
  const block = <usize>(blockRows(outHeight, outWidth, filters) * outWidth) * columns;
  // 16: the last tile of a run may read past the image.
  return 128 + laid + 16 + block + <usize>filterHeight * run * columns;
}

/**
 * out [filterHeight][filterWidth][channels][filters] = sum over batch and output pixels of the input under each
 * tap times the output's gradient dy [batch][outHeight][outWidth][filters]. `needsPadding` as for conv; it must be set when
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
  needsPadding: bool,
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
  const block = laid + (needsPadding ? <usize>paddedHeight * row : 0) + 16;
  const sums = block + <usize>(rowsAtOnce * outWidth) * columns;
  const sumRow = <usize>((run + 3) & ~3) * columns;
  memory.fill(sums, 0, <usize>filterHeight * sumRow);
  if (needsPadding) memory.fill(laid, 0, <usize>paddedHeight * row + 16);
  for (let n = 0; n < batch; ++n) {
    let image = x;
    if (needsPadding) {
      layImage(x, height, width, channels, laid, paddedHeight, paddedWidth, top, left);
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
              under + ((<usize>m) << 2), <usize>strideX * pixel, <usize>strideY * row, rows, outWidth, panel, scratch, 32,
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
