// Dropout masks by Threefry-2x32-20, four blocks at a time; see shared/kernels/masks/dropout-masks.ts for the rule and
// shared/random/threefry.ts for the generator.

// @ts-ignore: decorator
@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}

// @ts-ignore: decorator
@inline
function store16(to: usize, bytes: v128, threshold: v128, scale: v128): void {
  const keep = i8x16.ge_u(bytes, threshold);
  const low = i16x8.extend_low_i8x16_s(keep);
  const high = i16x8.extend_high_i8x16_s(keep);
  v128.store(to, v128.and(i32x4.extend_low_i16x8_s(low), scale));
  v128.store(to, v128.and(i32x4.extend_high_i16x8_s(low), scale), 16);
  v128.store(to, v128.and(i32x4.extend_low_i16x8_s(high), scale), 32);
  v128.store(to, v128.and(i32x4.extend_high_i16x8_s(high), scale), 48);
}

/**
 * Writes the mask of 8 elements a block for `blocks` blocks (a multiple of 4) from block `first` on: scale where the
 * element's byte is at least the threshold, else 0.
 */
export function fill(
  to: usize,
  first: i32,
  blocks: i32,
  key0: i32,
  key1: i32,
  layer: i32,
  threshold: i32,
  scale: f32,
): void {
  const key2 = 0x1bd11bda ^ key0 ^ key1;
  const k0 = i32x4.splat(key0);
  const k1 = i32x4.splat(key1);
  const k2 = i32x4.splat(key2);
  const start1 = i32x4.splat(layer + key1);
  const limits = i8x16.splat(<i8>threshold);
  const scales = f32x4.splat(scale);
  let counter = i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
  const four = i32x4.splat(4);
  for (let block = 0; block < blocks; block += 4) {
    let a = i32x4.add(counter, k0);
    let b = start1;
    // Written out, four rounds and a key injection at a time.
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 13), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 15), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 26), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 6), a);
    a = i32x4.add(a, k1); b = i32x4.add(b, i32x4.splat(key2 + 1));
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 17), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 29), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 16), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 24), a);
    a = i32x4.add(a, k2); b = i32x4.add(b, i32x4.splat(key0 + 2));
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 13), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 15), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 26), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 6), a);
    a = i32x4.add(a, k0); b = i32x4.add(b, i32x4.splat(key1 + 3));
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 17), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 29), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 16), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 24), a);
    a = i32x4.add(a, k1); b = i32x4.add(b, i32x4.splat(key2 + 4));
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 13), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 15), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 26), a);
    a = i32x4.add(a, b); b = v128.xor(rotate(b, 6), a);
    a = i32x4.add(a, k2); b = i32x4.add(b, i32x4.splat(key0 + 5));
    // Word 0 before word 1 of each block.
    store16(to, v128.shuffle<i32>(a, b, 0, 4, 1, 5), limits, scales);
    store16(to + 64, v128.shuffle<i32>(a, b, 2, 6, 3, 7), limits, scales);
    to += 128;
    counter = i32x4.add(counter, four);
  }
}
