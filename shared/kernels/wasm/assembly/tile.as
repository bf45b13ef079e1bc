import { multiplyAdd } from './multiply-add';

// The 4 x 8 tile that all products here are made of: eight v128 sums stay in registers while k runs. With four
// splats, two rows of b and one product that is the fifteen registers that V8 has on x64. So no unrolling: V8 moves
// the loads of an unrolled step together and spills (measured: a third slower with two steps at once).

/**
 * c[4][8], its rows cRow bytes apart, = sum over rows and cols of a[.., 0..3] (outer) b[.., 0..7].
 * a: 4 consecutive floats, stepping aStep bytes a column and aRowStep bytes a row; b: packed [rows * cols][8].
 */
export function outerTile(
  a: usize,
  aStep: usize,
  aRowStep: usize,
  rows: i32,
  cols: i32,
  b: usize,
  c: usize,
  cRow: usize,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  for (; rows > 0; --rows, a += aRowStep) {
    let p = a;
    for (let n = cols; n > 0; --n) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      let x = v128.load_splat<f32>(p);
      c00 = multiplyAdd(x, b0, c00);
      c01 = multiplyAdd(x, b1, c01);
      x = v128.load_splat<f32>(p, 4);
      c10 = multiplyAdd(x, b0, c10);
      c11 = multiplyAdd(x, b1, c11);
      x = v128.load_splat<f32>(p, 8);
      c20 = multiplyAdd(x, b0, c20);
      c21 = multiplyAdd(x, b1, c21);
      x = v128.load_splat<f32>(p, 12);
      c30 = multiplyAdd(x, b0, c30);
      c31 = multiplyAdd(x, b1, c31);
      p += aStep;
      b += 32;
    }
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += cRow;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += cRow;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += cRow;
  v128.store(c, c30);
  v128.store(c, c31, 16);
}

/** outerTile for six rows of a, stepping aStep bytes: see dotSix. */
export function outerSix(a: usize, aStep: usize, length: i32, b: usize, c: usize, cRow: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  for (; length > 0; --length) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = multiplyAdd(x, b0, c00);
    c01 = multiplyAdd(x, b1, c01);
    x = v128.load_splat<f32>(a, 4);
    c10 = multiplyAdd(x, b0, c10);
    c11 = multiplyAdd(x, b1, c11);
    x = v128.load_splat<f32>(a, 8);
    c20 = multiplyAdd(x, b0, c20);
    c21 = multiplyAdd(x, b1, c21);
    x = v128.load_splat<f32>(a, 12);
    c30 = multiplyAdd(x, b0, c30);
    c31 = multiplyAdd(x, b1, c31);
    x = v128.load_splat<f32>(a, 16);
    c40 = multiplyAdd(x, b0, c40);
    c41 = multiplyAdd(x, b1, c41);
    x = v128.load_splat<f32>(a, 20);
    c50 = multiplyAdd(x, b0, c50);
    c51 = multiplyAdd(x, b1, c51);
    a += aStep;
    b += 32;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += cRow;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += cRow;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += cRow;
  v128.store(c, c30);
  v128.store(c, c31, 16);
  c += cRow;
  v128.store(c, c40);
  v128.store(c, c41, 16);
  c += cRow;
  v128.store(c, c50);
  v128.store(c, c51, 16);
}

/** t[4][8] = dot products of four rows of `length` floats, `row` bytes apart from a on, with eight columns; b: packed [length][8]. */
export function dotFour(a: usize, row: usize, length: i32, b: usize, t: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let a1 = a + row;
  let a2 = a1 + row;
  let a3 = a2 + row;
  for (; length > 0; --length) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = multiplyAdd(x, b0, c00);
    c01 = multiplyAdd(x, b1, c01);
    x = v128.load_splat<f32>(a1);
    c10 = multiplyAdd(x, b0, c10);
    c11 = multiplyAdd(x, b1, c11);
    x = v128.load_splat<f32>(a2);
    c20 = multiplyAdd(x, b0, c20);
    c21 = multiplyAdd(x, b1, c21);
    x = v128.load_splat<f32>(a3);
    c30 = multiplyAdd(x, b0, c30);
    c31 = multiplyAdd(x, b1, c31);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    b += 32;
  }
  v128.store(t, c00);
  v128.store(t, c01, 16);
  v128.store(t, c10, 32);
  v128.store(t, c11, 48);
  v128.store(t, c20, 64);
  v128.store(t, c21, 80);
  v128.store(t, c30, 96);
  v128.store(t, c31, 112);
}

/** dotFour for six rows: 56 GFLOP/s of 59 where it is 49, with a fused multiply-add. */
export function dotSix(a: usize, row: usize, length: i32, b: usize, t: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  let a1 = a + row;
  let a2 = a1 + row;
  let a3 = a2 + row;
  let a4 = a3 + row;
  let a5 = a4 + row;
  for (; length > 0; --length) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = multiplyAdd(x, b0, c00);
    c01 = multiplyAdd(x, b1, c01);
    x = v128.load_splat<f32>(a1);
    c10 = multiplyAdd(x, b0, c10);
    c11 = multiplyAdd(x, b1, c11);
    x = v128.load_splat<f32>(a2);
    c20 = multiplyAdd(x, b0, c20);
    c21 = multiplyAdd(x, b1, c21);
    x = v128.load_splat<f32>(a3);
    c30 = multiplyAdd(x, b0, c30);
    c31 = multiplyAdd(x, b1, c31);
    x = v128.load_splat<f32>(a4);
    c40 = multiplyAdd(x, b0, c40);
    c41 = multiplyAdd(x, b1, c41);
    x = v128.load_splat<f32>(a5);
    c50 = multiplyAdd(x, b0, c50);
    c51 = multiplyAdd(x, b1, c51);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
    b += 32;
  }
  v128.store(t, c00);
  v128.store(t, c01, 16);
  v128.store(t, c10, 32);
  v128.store(t, c11, 48);
  v128.store(t, c20, 64);
  v128.store(t, c21, 80);
  v128.store(t, c30, 96);
  v128.store(t, c31, 112);
  v128.store(t, c40, 128);
  v128.store(t, c41, 144);
  v128.store(t, c50, 160);
  v128.store(t, c51, 176);
}

/** Adds (or, with add false, copies) the first m rows and n columns of t[4][8] to c, whose rows lie ldc bytes apart. */
export function storeTile(t: usize, c: usize, ldc: usize, m: i32, n: i32, add: bool): void {
  for (let i = 0; i < m; ++i, t += 32, c += ldc) {
    if (n == 8) {
      let low = v128.load(t);
      let high = v128.load(t, 16);
      if (add) {
        low = f32x4.add(v128.load(c), low);
        high = f32x4.add(v128.load(c, 16), high);
      }
      v128.store(c, low);
      v128.store(c, high, 16);
    } else {
      for (let j = 0; j < n; ++j) {
        const at = (<usize>j) << 2;
        const value = load<f32>(t + at);
        store<f32>(c + at, add ? load<f32>(c + at) + value : value);
      }
    }
  }
}

/**
 * Packs `rows` rows of n floats, ld bytes apart, into panels [ceil(n / 8)][rows][8], panels panelStep bytes
 * apart, filled up with zeros.
 */
export function packRows(from: usize, ld: usize, rows: i32, n: i32, to: usize, panelStep: usize): void {
  const zero = f32x4.splat(0);
  for (let r = 0; r < rows; ++r, from += ld, to += 32) {
    let panel = to;
    let j = 0;
    for (; j + 8 <= n; j += 8, panel += panelStep) {
      const at = from + ((<usize>j) << 2);
      v128.store(panel, v128.load(at));
      v128.store(panel, v128.load(at, 16), 16);
    }
    if (j < n) {
      v128.store(panel, zero);
      v128.store(panel, zero, 16);
      memory.copy(panel, from + ((<usize>j) << 2), (<usize>(n - j)) << 2);
    }
  }
}
