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

/** See adadelta.ts for the rule. */
export function adadelta(
  weights: usize,
  gradientSum: usize,
  meanSquareGradient: usize,
  meanSquareUpdate: usize,
  n: i32,
  samples: f32,
  learningRate: f32,
  rho: f32,
  fresh: f32,
  epsilon: f32,
): void {
  const samples4 = f32x4.splat(samples);
  const rate4 = f32x4.splat(learningRate);
  const rho4 = f32x4.splat(rho);
  const fresh4 = f32x4.splat(fresh);
  const epsilon4 = f32x4.splat(epsilon);
  const end = weights + (<usize>n << 2);
  while (weights < end) {
    const g = f32x4.div(v128.load(gradientSum), samples4);
    const a = f32x4.add(f32x4.mul(rho4, v128.load(meanSquareGradient)), f32x4.mul(fresh4, f32x4.mul(g, g)));
    const d = v128.load(meanSquareUpdate);
    const u = f32x4.div(f32x4.mul(g, f32x4.sqrt(f32x4.add(d, epsilon4))), f32x4.sqrt(f32x4.add(a, epsilon4)));
    v128.store(meanSquareGradient, a);
    v128.store(meanSquareUpdate, f32x4.add(f32x4.mul(rho4, d), f32x4.mul(fresh4, f32x4.mul(u, u))));
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.mul(rate4, u)));
    weights += 16;
    gradientSum += 16;
    meanSquareGradient += 16;
    meanSquareUpdate += 16;
  }
}
