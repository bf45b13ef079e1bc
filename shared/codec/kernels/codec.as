// Codecs with SIMD. Pointers count bytes. n counts values and is a multiple of 16, with zeros after the vector's end. Every
// operation gives the bits of scalar.ts, also for NaN, infinities, -0 and subnormal values.

const SUBNORMAL: i32 = 0x38800000;
const TOO_LARGE: i32 = 0x477ff000;
const INFINITE: i32 = 0x7f800000;
const BLOCK: i32 = 256;
const MIN_BLOCK_MAGNITUDE: f32 = 7.888609052210118e-31; // 2^-100
const MAX_SCALE_MAGNITUDE: f32 = 3.4e38;
/** Bits of every NaN that is written. WebAssembly leaves the bits of a computed NaN to the processor. */
const NAN: i32 = 0x7fc00000;
const NAN_HALF: i32 = 0x7e00;

/** Gives every NaN the same bits. */
// @ts-ignore: AssemblyScript's decorator
@inline
function canonical(x: v128): v128 {
  return v128.bitselect(x, i32x4.splat(NAN), f32x4.eq(x, x));
}

// @ts-ignore: AssemblyScript's decorator
@inline
function halfOf(x: v128): v128 {
  const size = v128.and(x, i32x4.splat(0x7fffffff));
  const odd = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(size, i32x4.splat(0xc8000fff)), odd), 13);
  // Values from 0.5 to 1 are 2^-24 apart, as subnormal halves are.
  const subnormal = i32x4.sub(f32x4.add(size, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  let half = v128.bitselect(subnormal, normal, i32x4.lt_s(size, i32x4.splat(SUBNORMAL)));
  half = v128.bitselect(i32x4.splat(0x7bff), half, i32x4.ge_s(size, i32x4.splat(TOO_LARGE)));
  half = v128.bitselect(i32x4.splat(0x7c00), half, i32x4.eq(size, i32x4.splat(INFINITE)));
  half = v128.or(half, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
  return v128.bitselect(i32x4.splat(NAN_HALF), half, i32x4.gt_s(size, i32x4.splat(INFINITE)));
}

export function encodeFloat16(values: usize, halves: usize, n: i32): void {
  const end = values + (<usize>n << 2);
  for (; values < end; values += 32, halves += 16) {
    const low = halfOf(v128.load(values));
    const high = halfOf(v128.load(values, 16));
    v128.store(halves, i16x8.narrow_i32x4_u(low, high));
  }
}

/** Values of four halves that are finite. */
// @ts-ignore: AssemblyScript's decorator
@inline
function finiteOf(half: v128): v128 {
  const size = v128.and(half, i32x4.splat(0x7fff));
  const shifted = i32x4.shl(size, 13);
  // As integers, because processors are slow on the subnormal floats that a multiplication would give.
  const normal = i32x4.add(shifted, i32x4.splat(0x38000000));
  const subnormal = f32x4.mul(f32x4.convert_i32x4_s(size), f32x4.splat(5.960464477539063e-8)); // 2^-24
  const value = v128.bitselect(subnormal, normal, i32x4.lt_s(size, i32x4.splat(0x400)));
  return v128.or(value, i32x4.shl(v128.and(half, i32x4.splat(0x8000)), 16));
}

/** Values of any four halves. */
function valueOf(half: v128): v128 {
  const size = v128.and(half, i32x4.splat(0x7fff));
  const sign = i32x4.shl(v128.and(half, i32x4.splat(0x8000)), 16);
  const infinite = v128.or(i32x4.splat(INFINITE), sign);
  const value = v128.bitselect(infinite, finiteOf(half), i32x4.eq(size, i32x4.splat(0x7c00)));
  return v128.bitselect(i32x4.splat(NAN), value, i32x4.gt_s(size, i32x4.splat(0x7c00)));
}

export function decodeFloat16(halves: usize, values: usize, n: i32): void {
  const end = values + (<usize>n << 2);
  for (; values < end; values += 32, halves += 16) {
    const eight = v128.load(halves);
    const low = i32x4.extend_low_i16x8_u(eight);
    const high = i32x4.extend_high_i16x8_u(eight);
    const special = i16x8.gt_s(v128.and(eight, i16x8.splat(0x7fff)), i16x8.splat(0x7bff));
    if (v128.any_true(special)) {
      v128.store(values, valueOf(low));
      v128.store(values, valueOf(high), 16);
    } else {
      v128.store(values, finiteOf(low));
      v128.store(values, finiteOf(high), 16);
    }
  }
}

/** Scale of n values that maps the largest magnitude to `maxInteger`. */
function scaleOf(values: usize, n: i32, maxInteger: f32): f32 {
  const sizes = i32x4.splat(0x7fffffff);
  let largest = i32x4.splat(0);
  const end = values + (<usize>n << 2);
  for (; values < end; values += 16) largest = i32x4.max_s(largest, v128.and(v128.load(values), sizes));
  largest = i32x4.max_s(largest, i8x16.shuffle(largest, largest, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  const a = i32x4.extract_lane(largest, 0);
  const b = i32x4.extract_lane(largest, 1);
  const bits = a > b ? a : b;
  if (bits >= INFINITE) return reinterpret<f32>(NAN);
  const value = reinterpret<f32>(bits);
  return value < MIN_BLOCK_MAGNITUDE ? 0 : min(value, MAX_SCALE_MAGNITUDE) / maxInteger;
}

// @ts-ignore: AssemblyScript's decorator
@inline
function integersOf(values: usize, inverse: v128): v128 {
  const a = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(values), inverse)));
  const b = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(values, 16), inverse)));
  const c = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(values, 32), inverse)));
  const d = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(values, 48), inverse)));
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** NaN in n values. */
function storeNan(values: usize, n: i32): void {
  const end = values + (<usize>n << 2);
  for (; values < end; values += 16) v128.store(values, i32x4.splat(NAN));
}

// @ts-ignore: AssemblyScript's decorator
@inline
function storeScaled(values: usize, integers: v128, scale: v128): void {
  const low = i16x8.extend_low_i8x16_s(integers);
  const high = i16x8.extend_high_i8x16_s(integers);
  v128.store(values, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), scale));
  v128.store(values, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), scale), 16);
  v128.store(values, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), scale), 32);
  v128.store(values, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), scale), 48);
}

export function encodeInt8(values: usize, scales: usize, integers: usize, n: i32): void {
  for (let block = 0; block < n; block += BLOCK, scales += 4) {
    const count = min(BLOCK, n - block);
    const scale = scaleOf(values, count, 127);
    store<f32>(scales, scale);
    const inverse = f32x4.splat(scale > 0 ? 1 / scale : 0);
    for (let i = 0; i < count; i += 16, values += 64, integers += 16) {
      v128.store(integers, integersOf(values, inverse));
    }
  }
}

export function decodeInt8(scales: usize, integers: usize, values: usize, n: i32): void {
  for (let block = 0; block < n; block += BLOCK, scales += 4) {
    const count = min(BLOCK, n - block);
    const blockScale = load<f32>(scales);
    if (!isFinite(blockScale)) {
      storeNan(values, count);
      values += BLOCK << 2;
      integers += BLOCK;
      continue;
    }
    const scale = f32x4.splat(blockScale);
    for (let i = 0; i < count; i += 16, values += 64, integers += 16) {
      storeScaled(values, v128.load(integers), scale);
    }
  }
}

/** Sixteen integers as eight bytes in the low halves of 16 bits. */
// @ts-ignore: AssemblyScript's decorator
@inline
function pairsOf(integers: v128): v128 {
  const low = v128.and(integers, i16x8.splat(0x0f));
  const high = v128.and(i16x8.shr_u(integers, 4), i16x8.splat(0xf0));
  return v128.or(low, high);
}

export function encodeInt4(values: usize, scales: usize, pairs: usize, n: i32): void {
  for (let block = 0; block < n; block += BLOCK, scales += 4) {
    const count = min(BLOCK, n - block);
    const scale = scaleOf(values, count, 7);
    store<f32>(scales, scale);
    const inverse = f32x4.splat(scale > 0 ? 1 / scale : 0);
    for (let i = 0; i < count; i += 16, values += 64, pairs += 8) {
      const eight = pairsOf(integersOf(values, inverse));
      store<i64>(pairs, i64x2.extract_lane(i8x16.narrow_i16x8_u(eight, eight), 0));
    }
  }
}

export function decodeInt4(scales: usize, pairs: usize, values: usize, n: i32): void {
  for (let block = 0; block < n; block += BLOCK, scales += 4) {
    const count = min(BLOCK, n - block);
    const blockScale = load<f32>(scales);
    if (!isFinite(blockScale)) {
      storeNan(values, count);
      values += BLOCK << 2;
      pairs += BLOCK >> 1;
      continue;
    }
    const scale = f32x4.splat(blockScale);
    for (let i = 0; i < count; i += 16, values += 64, pairs += 8) {
      const eight = i64x2.splat(load<i64>(pairs));
      const low = i8x16.shr_s(i8x16.shl(eight, 4), 4);
      const high = i8x16.shr_s(eight, 4);
      const mixed = i8x16.shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      storeScaled(values, mixed, scale);
    }
  }
}

/** Gives every NaN the same bits, unless all lanes of `allNumbers` are set. */
function canonicalize(a: usize, end: usize, allNumbers: v128): void {
  if (i32x4.all_true(allNumbers)) return;
  for (; a < end; a += 16) v128.store(a, canonical(v128.load(a)));
}

// @ts-ignore: AssemblyScript's decorator
@inline
function storeAndCheck(a: usize, x: v128, allNumbers: v128): v128 {
  v128.store(a, x);
  // A value equals itself unless it is NaN.
  return v128.and(allNumbers, f32x4.eq(x, x));
}

/** a += b */
export function add(a: usize, b: usize, n: i32): void {
  const end = a + (<usize>n << 2);
  let allNumbers = i32x4.splat(-1);
  for (let at = a; at < end; at += 32, b += 32) {
    allNumbers = storeAndCheck(at, f32x4.add(v128.load(at), v128.load(b)), allNumbers);
    allNumbers = storeAndCheck(at + 16, f32x4.add(v128.load(at, 16), v128.load(b, 16)), allNumbers);
  }
  canonicalize(a, end, allNumbers);
}

/** a -= b */
export function subtract(a: usize, b: usize, n: i32): void {
  const end = a + (<usize>n << 2);
  let allNumbers = i32x4.splat(-1);
  for (let at = a; at < end; at += 32, b += 32) {
    allNumbers = storeAndCheck(at, f32x4.sub(v128.load(at), v128.load(b)), allNumbers);
    allNumbers = storeAndCheck(at + 16, f32x4.sub(v128.load(at, 16), v128.load(b, 16)), allNumbers);
  }
  canonicalize(a, end, allNumbers);
}

/** Replaces subnormal values by zeros with their sign. */
// @ts-ignore: decorator
@inline
function flushed(x: v128): v128 {
  const subnormal = i32x4.eq(v128.and(x, i32x4.splat(INFINITE)), i32x4.splat(0));
  return v128.andnot(x, v128.and(subnormal, i32x4.splat(0x7fffffff)));
}

// @ts-ignore: decorator
@inline
function sumFlushed(x: v128, y: v128): v128 {
  return flushed(f32x4.add(flushed(x), flushed(y)));
}

/** a += b, with subnormal operands and results replaced by zeros */
export function addFlushed(a: usize, b: usize, n: i32): void {
  const end = a + (<usize>n << 2);
  let allNumbers = i32x4.splat(-1);
  for (let at = a; at < end; at += 32, b += 32) {
    allNumbers = storeAndCheck(at, sumFlushed(v128.load(at), v128.load(b)), allNumbers);
    allNumbers = storeAndCheck(at + 16, sumFlushed(v128.load(at, 16), v128.load(b, 16)), allNumbers);
  }
  canonicalize(a, end, allNumbers);
}

/** a -= b, with zero for results that are not finite */
export function subtractFinite(a: usize, b: usize, n: i32): void {
  const exponent = i32x4.splat(INFINITE);
  const end = a + (<usize>n << 2);
  for (; a < end; a += 16, b += 16) {
    const left = f32x4.sub(v128.load(a), v128.load(b));
    v128.store(a, v128.andnot(left, i32x4.eq(v128.and(left, exponent), exponent)));
  }
}

/**
 * out[i, j] = sum over s of a[s, i] b[s, j], for all i and j; s in order. The rows of a have `inputs` values, a
 * multiple of 4; the rows of b and out have `outputs` values, a multiple of 8.
 */
export function multiplyFactors(a: usize, b: usize, out: usize, samples: i32, inputs: i32, outputs: i32): void {
  const aRow = <usize>inputs << 2;
  const row = <usize>outputs << 2;
  for (let i = 0; i < inputs; i += 4) {
    for (let j: usize = 0; j < row; j += 32) {
      let c00 = f32x4.splat(0);
      let c01 = f32x4.splat(0);
      let c10 = f32x4.splat(0);
      let c11 = f32x4.splat(0);
      let c20 = f32x4.splat(0);
      let c21 = f32x4.splat(0);
      let c30 = f32x4.splat(0);
      let c31 = f32x4.splat(0);
      let aAt = a + (<usize>i << 2);
      let bAt = b + j;
      for (let s = 0; s < samples; s++, aAt += aRow, bAt += row) {
        const b0 = v128.load(bAt);
        const b1 = v128.load(bAt, 16);
        const a0 = v128.load32_splat(aAt);
        const a1 = v128.load32_splat(aAt, 4);
        const a2 = v128.load32_splat(aAt, 8);
        const a3 = v128.load32_splat(aAt, 12);
        c00 = f32x4.add(c00, f32x4.mul(a0, b0));
        c01 = f32x4.add(c01, f32x4.mul(a0, b1));
        c10 = f32x4.add(c10, f32x4.mul(a1, b0));
        c11 = f32x4.add(c11, f32x4.mul(a1, b1));
        c20 = f32x4.add(c20, f32x4.mul(a2, b0));
        c21 = f32x4.add(c21, f32x4.mul(a2, b1));
        c30 = f32x4.add(c30, f32x4.mul(a3, b0));
        c31 = f32x4.add(c31, f32x4.mul(a3, b1));
      }
      const at = out + <usize>i * row + j;
      v128.store(at, canonical(c00));
      v128.store(at, canonical(c01), 16);
      v128.store(at + row, canonical(c10));
      v128.store(at + row, canonical(c11), 16);
      v128.store(at + 2 * row, canonical(c20));
      v128.store(at + 2 * row, canonical(c21), 16);
      v128.store(at + 3 * row, canonical(c30));
      v128.store(at + 3 * row, canonical(c31), 16);
    }
  }
}
