import { fill } from './masks';

/** Values whose mask is computed at once; it stays in the first-level cache. */
const CHUNK: i32 = 2048;

/** Bytes that keyedDropout needs at `scratch`. */
export function keyedDropoutScratchBytes(): usize {
  return (<usize>CHUNK) << 2;
}

/**
 * y [samples][size] = x times the mask of each sample, whose key is in keys [samples][2]; see masks.as. x and y may be
 * the same.
 */
export function keyedDropout(
  x: usize,
  keys: usize,
  y: usize,
  samples: i32,
  size: i32,
  layer: i32,
  threshold: i32,
  scale: f32,
  scratch: usize,
): void {
  for (let sample = 0; sample < samples; ++sample, keys += 8) {
    for (let done = 0; done < size; done += CHUNK) {
      let n = min(CHUNK, size - done);
      fill(scratch, done >> 3, ((n + 31) >> 5) << 2, load<i32>(keys), load<i32>(keys, 4), layer, threshold, scale);
      let mask = scratch;
      for (; n >= 4; n -= 4, x += 16, y += 16, mask += 16) {
        v128.store(y, f32x4.mul(v128.load(x), v128.load(mask)));
      }
      for (; n > 0; --n, x += 4, y += 4, mask += 4) store<f32>(y, load<f32>(x) * load<f32>(mask));
    }
  }
}
