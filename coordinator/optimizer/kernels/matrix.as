// Products of matrices, row-major, with rows padded with zeros to a multiple of four values.

/**
 * product = a b + factor addend, where a is rows x inner and b is inner x columns. A row of a takes aStride values; rows of b,
 * addend and product take `columns` values, a multiple of four.
 * @param addend 0 for none
 */
export function multiply(
  product: usize,
  a: usize,
  b: usize,
  addend: usize,
  rows: i32,
  inner: i32,
  columns: i32,
  aStride: i32,
  factor: f32,
): void {
  const rowBytes = <usize>columns << 2;
  const aRowBytes = <usize>aStride << 2;
  const factor4 = f32x4.splat(factor);
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const a0 = a + <usize>row * aRowBytes;
    const a1 = a0 + aRowBytes;
    const a2 = a1 + aRowBytes;
    const a3 = a2 + aRowBytes;
    let column: usize = 0;
    // Two vectors at a time: half of a cache line of each row of b.
    for (; column + 32 <= rowBytes; column += 32) {
      let s0 = f32x4.splat(0);
      let s1 = f32x4.splat(0);
      let s2 = f32x4.splat(0);
      let s3 = f32x4.splat(0);
      let t0 = f32x4.splat(0);
      let t1 = f32x4.splat(0);
      let t2 = f32x4.splat(0);
      let t3 = f32x4.splat(0);
      let at = b + column;
      for (let k: usize = 0; k < <usize>inner << 2; k += 4, at += rowBytes) {
        const left = v128.load(at);
        const right = v128.load(at, 16);
        let value = v128.load32_splat(a0 + k);
        s0 = f32x4.add(s0, f32x4.mul(value, left));
        t0 = f32x4.add(t0, f32x4.mul(value, right));
        value = v128.load32_splat(a1 + k);
        s1 = f32x4.add(s1, f32x4.mul(value, left));
        t1 = f32x4.add(t1, f32x4.mul(value, right));
        value = v128.load32_splat(a2 + k);
        s2 = f32x4.add(s2, f32x4.mul(value, left));
        t2 = f32x4.add(t2, f32x4.mul(value, right));
        value = v128.load32_splat(a3 + k);
        s3 = f32x4.add(s3, f32x4.mul(value, left));
        t3 = f32x4.add(t3, f32x4.mul(value, right));
      }
      const offset = <usize>row * rowBytes + column;
      store(product, addend, offset, s0, factor4);
      store(product, addend, offset + 16, t0, factor4);
      store(product, addend, offset + rowBytes, s1, factor4);
      store(product, addend, offset + rowBytes + 16, t1, factor4);
      store(product, addend, offset + 2 * rowBytes, s2, factor4);
      store(product, addend, offset + 2 * rowBytes + 16, t2, factor4);
      store(product, addend, offset + 3 * rowBytes, s3, factor4);
      store(product, addend, offset + 3 * rowBytes + 16, t3, factor4);
    }
    for (; column < rowBytes; column += 16) {
      let s0 = f32x4.splat(0);
      let s1 = f32x4.splat(0);
      let s2 = f32x4.splat(0);
      let s3 = f32x4.splat(0);
      let at = b + column;
      for (let k: usize = 0; k < <usize>inner << 2; k += 4, at += rowBytes) {
        const values = v128.load(at);
        s0 = f32x4.add(s0, f32x4.mul(v128.load32_splat(a0 + k), values));
        s1 = f32x4.add(s1, f32x4.mul(v128.load32_splat(a1 + k), values));
        s2 = f32x4.add(s2, f32x4.mul(v128.load32_splat(a2 + k), values));
        s3 = f32x4.add(s3, f32x4.mul(v128.load32_splat(a3 + k), values));
      }
      const offset = <usize>row * rowBytes + column;
      store(product, addend, offset, s0, factor4);
      store(product, addend, offset + rowBytes, s1, factor4);
      store(product, addend, offset + 2 * rowBytes, s2, factor4);
      store(product, addend, offset + 3 * rowBytes, s3, factor4);
    }
  }
  for (; row < rows; row++) {
    const a0 = a + <usize>row * aRowBytes;
    for (let column: usize = 0; column < rowBytes; column += 16) {
      let s0 = f32x4.splat(0);
      let at = b + column;
      for (let k: usize = 0; k < <usize>inner << 2; k += 4, at += rowBytes) {
        s0 = f32x4.add(s0, f32x4.mul(v128.load32_splat(a0 + k), v128.load(at)));
      }
      store(product, addend, <usize>row * rowBytes + column, s0, factor4);
    }
  }
}

@inline
function store(product: usize, addend: usize, offset: usize, sum: v128, factor: v128): void {
  const base = addend == 0 ? f32x4.splat(0) : f32x4.mul(factor, v128.load(addend + offset));
  v128.store(product + offset, f32x4.add(base, sum));
}
