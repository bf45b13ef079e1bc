// Gradient of the input of a pooled convolution (pooled.as) for multiples of 32 channels: each pixel gathers the gradients
// around it, with its sums in registers.
import { multiplyAdd } from './multiply-add';

/** Channels whose sums a pixel keeps in registers, and their bytes. */
export const GATHERED: i32 = 32;
export const GROUP: usize = 128;
/** Bytes of three taps of a group. */
export const TAPS: usize = 384;

/** Lays filters [3][3][channels][filters] as [channels / 32][3][filters][3][32]. */
export function layTaps(filter: usize, channels: i32, filters: i32, to: usize): void {
  const tap = <usize>(channels * filters) << 2;
  for (let group = 0; group < channels; group += GATHERED) {
    for (let ky: usize = 0; ky < 3; ++ky) {
      for (let f = 0; f < filters; ++f) {
        for (let kx: usize = 0; kx < 3; ++kx) {
          let from = filter + (ky * 3 + kx) * tap + ((<usize>(group * filters + f)) << 2);
          for (let c = 0; c < GATHERED; ++c, from += (<usize>filters) << 2, to += 4) store<f32>(to, load<f32>(from));
        }
      }
    }
  }
}

/**
 * dx [height][width][channels] of one image, from the lists of (place of the taps for the pixel under the filter's first column,
 * gradient) of each output, in row-major order; starts [outHeight][outWidth + 1] has where those of each output start.
 */
export function gatherImage(
  starts: usize,
  taps: usize,
  dx: usize,
  height: i32,
  width: i32,
  channels: i32,
  filters: i32,
  outHeight: i32,
  outWidth: i32,
  top: i32,
  left: i32,
): void {
  const row = (<usize>(outWidth + 1)) << 2;
  const tapRow = <usize>filters * TAPS;
  for (let y = 0; y < height; ++y) {
    const ky = max(0, y + top - outHeight + 1);
    const rows = max(0, min(2, y + top) - ky + 1);
    const first = starts + <usize>(y + top - ky) * row;
    for (let x = 0; x < width; ++x, dx += (<usize>channels) << 2) {
      const from = min(outWidth, max(0, x + left - 2));
      const end = max(from, min(outWidth, x + left + 1));
      const at = first + ((<usize>from) << 2);
      let weights = taps + <usize>ky * tapRow + <usize>(x + left) * GROUP - tapRow;
      for (let group = 0; group < channels; group += GATHERED, weights += 3 * tapRow) {
        gather(at, (<usize>(end - from)) << 2, row, rows, weights, tapRow, dx + ((<usize>group) << 2));
      }
    }
  }
}

/** Sums of 32 channels over `rows` runs of lists, from each start to the one `span` bytes on. */
export function gather(starts: usize, span: usize, row: usize, rows: i32, weights: usize, tapRow: usize, to: usize): void {
  let c0 = f32x4.splat(0);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  let c4 = c0;
  let c5 = c0;
  let c6 = c0;
  let c7 = c0;
  let list: usize = 0;
  let end: usize = 0;
  // One loop for all runs: V8 would unroll the inner one of two, and spill.
  for (;;) {
    if (list == end) {
      if (rows == 0) break;
      --rows;
      list = <usize>load<u32>(starts);
      end = <usize>load<u32>(starts + span);
      starts -= row;
      weights += tapRow;
      continue;
    }
    const taps = weights + <usize>load<u32>(list);
    const value = v128.load_splat<f32>(list, 4);
    c0 = multiplyAdd(value, v128.load(taps), c0);
    c1 = multiplyAdd(value, v128.load(taps, 16), c1);
    c2 = multiplyAdd(value, v128.load(taps, 32), c2);
    c3 = multiplyAdd(value, v128.load(taps, 48), c3);
    c4 = multiplyAdd(value, v128.load(taps, 64), c4);
    c5 = multiplyAdd(value, v128.load(taps, 80), c5);
    c6 = multiplyAdd(value, v128.load(taps, 96), c6);
    c7 = multiplyAdd(value, v128.load(taps, 112), c7);
    list += 8;
  }
  v128.store(to, c0);
  v128.store(to, c1, 16);
  v128.store(to, c2, 32);
  v128.store(to, c3, 48);
  v128.store(to, c4, 64);
  v128.store(to, c5, 80);
  v128.store(to, c6, 96);
  v128.store(to, c7, 112);
}
