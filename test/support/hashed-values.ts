import type { Slice } from '../../shared/model/layout.ts';

/** Chris Wellons' 32-bit hash, as in test/reference/hashed.py. Inputs of the Keras references are hashed, not stored. */
export function lowbias32(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  x ^= x >>> 16;
  return x >>> 0;
}

/** Largest magnitude of a tensor's values. */
function limitOf(shape: readonly number[]): number {
  if (shape.length < 2) return 0.2;
  const field = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  return Math.sqrt(6 / (field * ((shape.at(-2) ?? 0) + (shape.at(-1) ?? 0))));
}

/** Values of tensor t, as `filling` in test/reference/hashed.py computes them. */
export function hashedTensor(t: number, name: string, { shape, size }: Slice): Float32Array {
  const limit = limitOf(shape);
  const positive = /(gamma|moving_variance)(_\d+)?$/.test(name);
  return Float32Array.from({ length: size }, (_, i) => {
    const u = lowbias32(t * 1000003 + i + 1) / 2 ** 32;
    return positive ? 0.5 + u : (2 * u - 1) * limit;
  });
}

/** Values of tensor t of a seed, as `fresh` in test/reference/hashed.py computes them. */
export function freshTensor(seed: number, t: number, name: string, { shape, size }: Slice): Float32Array {
  const limit = limitOf(shape);
  if (/(gamma|moving_variance)(_\d+)?$/.test(name)) return new Float32Array(size).fill(1);
  if (shape.length < 2 || /(bias|beta)(_\d+)?$/.test(name)) return new Float32Array(size);
  const first = (seed * 1000 + t) * 1000003 + 1;
  return Float32Array.from({ length: size }, (_, i) => (2 * (lowbias32(first + i) / 2 ** 32) - 1) * limit);
}

/** The pixels of images, as `pixels` in test/reference/hashed.py computes them. */
export const hashedPixels = (size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => lowbias32(i + 77) % 256);
