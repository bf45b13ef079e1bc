// Passes over float32 vectors in one memory, four values at a time. Pointers are in bytes, n in values; vectors are padded to a
// multiple of four. Every operation rounds to float32 like the scalar operation.

/** Whether no value is infinite or NaN: only these have all exponent bits set. */
export function allFinite(x: usize, n: i32): bool {
  const exponent = i32x4.splat(0x7f800000);
  let bad = i32x4.splat(0);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) bad = v128.or(bad, i32x4.eq(v128.and(v128.load(x), exponent), exponent));
  return !v128.any_true(bad);
}

/** Sum of squares. Meant for short vectors, since it is accumulated in float32, a quarter of the values in each lane. */
export function squares(x: usize, n: i32): f32 {
  let sum = f32x4.splat(0);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) {
    const values = v128.load(x);
    sum = f32x4.add(sum, f32x4.mul(values, values));
  }
  return (
    f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3))
  );
}

/** total += part */
export function add(total: usize, part: usize, n: i32): void {
  const end = total + (<usize>n << 2);
  for (; total < end; total += 16, part += 16) {
    v128.store(total, f32x4.add(v128.load(total), v128.load(part)));
  }
}

/** Sum of the squares, each rounded to float32, in float64. */
export function sumSquares(x: usize, n: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) {
    const values = v128.load(x);
    const squares = f32x4.mul(values, values);
    low = f64x2.add(low, f64x2.promote_low_f32x4(squares));
    high = f64x2.add(high, f64x2.promote_low_f32x4(i8x16.shuffle(squares, squares, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)));
  }
  const sum = f64x2.add(low, high);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** Sum of the magnitudes in float64. */
export function sumMagnitudes(x: usize, n: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) {
    const values = f32x4.abs(v128.load(x));
    low = f64x2.add(low, f64x2.promote_low_f32x4(values));
    high = f64x2.add(high, f64x2.promote_low_f32x4(i8x16.shuffle(values, values, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)));
  }
  const sum = f64x2.add(low, high);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}
