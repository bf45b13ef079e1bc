/**
 * Largest difference of a correct gradient from WebAssembly's, relative to its norm. Rounding causes 1e-6; a max-pool or a ReLU
 * whose choice depends on rounding causes up to 2e-3.
 */
export const GRADIENT_TOLERANCE = 5e-3;

/** Relative difference |a - b| / |b|. */
export function relativeDifference(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    const expected = b[i] ?? NaN;
    difference += ((a[i] ?? NaN) - expected) ** 2;
    norm += expected ** 2;
  }
  return Math.sqrt(difference / norm);
}
