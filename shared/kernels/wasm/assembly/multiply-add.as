/**
 * a * b + c. In the module with relaxed SIMD it is one instruction, which rounds once on CPUs that have a fused one; in the plain
 * module it is two, which round twice everywhere.
 */
// @ts-ignore: AssemblyScript's decorator
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(c, f32x4.mul(a, b));
}

/** Whether this is the module with relaxed SIMD. */
export function roundsOnce(): bool {
  return ASC_FEATURE_RELAXED_SIMD;
}
