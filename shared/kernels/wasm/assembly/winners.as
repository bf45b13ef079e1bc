// Where the largest output of each window of a max-pool of 2 x 2 is: a place from 0 to 3 in row-major order, or NONE where ReLU made
// all four zero.

/** Place in a window whose outputs are all 0 after ReLU. */
const NONE: i32 = 255;

/** Bytes that windows' places take if each window has its own groups of 32, filled up with NONE. */
// @ts-ignore: decorator
@inline
export function codeBytes(windows: i32, filters: i32): usize {
  return <usize>(windows * ((filters + 31) & ~31));
}

/**
 * Stores the largest of four outputs of a window, in row-major order, for four channels, and its place: the first of equal ones.
 * Where relu, negative outputs count as 0, and the place of 0 is NONE.
 */
// @ts-ignore: decorator
@inline
export function poolFour(v0: v128, v1: v128, v2: v128, v3: v128, relu: bool, out: usize, winners: usize): void {
  const least = f32x4.splat(relu ? 0 : -Infinity);
  // NaN is the largest.
  const largest = f32x4.max(f32x4.max(v0, v1), f32x4.max(v2, v3));
  const not0 = f32x4.ne(v0, largest);
  const not1 = v128.and(not0, f32x4.ne(v1, largest));
  const not2 = v128.and(not1, f32x4.ne(v2, largest));
  // Each comparison that fails takes the place one further: a mask is -1.
  let place = i32x4.add(i32x4.add(not0, not1), not2);
  place = v128.or(i32x4.neg(place), v128.and(f32x4.le(largest, least), i32x4.splat(NONE)));
  v128.store(out, f32x4.pmax(largest, least));
  const half = i16x8.narrow_i32x4_u(place, place);
  v128.store32_lane(winners, i8x16.narrow_i16x8_u(half, half), 0);
}

/** Copies the places of `windows` windows to codes, with NONE where the gradient dy is 0; filters a multiple of 4. NaN is a gradient. */
export function codeWinners(dy: usize, winners: usize, windows: i32, filters: i32, codes: usize): void {
  memory.fill(codes, <u8>NONE, codeBytes(windows, filters));
  const step = codeBytes(1, filters);
  for (; windows > 0; --windows, codes += step) {
    for (let f: usize = 0; f < <usize>filters; f += 4, dy += 16, winners += 4) {
      const isZero = f32x4.eq(v128.load(dy), f32x4.splat(0));
      const half = i16x8.narrow_i32x4_s(isZero, isZero);
      v128.store32_lane(codes + f, v128.or(v128.load32_zero(winners), i8x16.narrow_i16x8_s(half, half)), 0);
    }
  }
}

/** Bits of the 32 filters from `codes` on whose place is this. */
// @ts-ignore: decorator
@inline
export function filtersWith(codes: usize, place: u8): u32 {
  const places = i8x16.splat(place);
  const low = i8x16.bitmask(i8x16.eq(v128.load(codes), places));
  return low | (i8x16.bitmask(i8x16.eq(v128.load(codes, 16), places)) << 16);
}

/** Bits of the 32 filters from `codes` on that have a place. */
// @ts-ignore: decorator
@inline
export function filtersWithPlace(codes: usize): u32 {
  return ~(i8x16.bitmask(v128.load(codes)) | (i8x16.bitmask(v128.load(codes, 16)) << 16));
}
