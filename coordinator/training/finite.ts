/**
 * Whether every value is finite. x * 0 is 0 for a finite x and NaN for all others; four sums side by side keep the
 * processor's adders busy.
 */
export function allFinite(values: Float32Array): boolean {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const end = values.length & ~3;
  for (let i = 0; i < end; i += 4) {
    a += (values[i] as number) * 0;
    b += (values[i + 1] as number) * 0;
    c += (values[i + 2] as number) * 0;
    d += (values[i + 3] as number) * 0;
  }
  for (let i = end; i < values.length; i++) a += (values[i] as number) * 0;
  return a + b + c + d === 0;
}
