/** dx[i] = y[i] > 0 ? dy[i] : 0, for n floats; y may be the input of the ReLU or its output. */
export function reluGradient(dy: usize, y: usize, dx: usize, n: i32): void {
  const zero = f32x4.splat(0);
  for (; n >= 4; n -= 4, dy += 16, y += 16, dx += 16) {
    v128.store(dx, v128.and(v128.load(dy), f32x4.gt(v128.load(y), zero)));
  }
  for (; n > 0; --n, dy += 4, y += 4, dx += 4) store<f32>(dx, load<f32>(y) > 0 ? load<f32>(dy) : 0);
}

/** x[i][j] += bias[j] for x [rows][columns], then ReLU if relu; NaN stays NaN. */
export function addBias(x: usize, bias: usize, rows: i32, columns: i32, relu: bool): void {
  const low: f32 = relu ? 0 : -Infinity;
  const lows = f32x4.splat(low);
  for (let i = 0; i < rows; ++i) {
    let b = bias;
    let n = columns;
    for (; n >= 4; n -= 4, x += 16, b += 16) {
      v128.store(x, f32x4.pmax(f32x4.add(v128.load(x), v128.load(b)), lows));
    }
    for (; n > 0; --n, x += 4, b += 4) {
      const value = load<f32>(x) + load<f32>(b);
      store<f32>(x, value < low ? low : value);
    }
  }
}

// Rows summed by themselves before they join the total: short sums round less.
const ROW_BLOCK: i32 = 128;

/** out[j] = sum over i of x[i][j] for x [rows][columns]. */
export function sumRows(x: usize, out: usize, rows: i32, columns: i32): void {
  const ld = (<usize>columns) << 2;
  memory.fill(out, 0, ld);
  for (let r = 0; r < rows; r += ROW_BLOCK, x += <usize>ROW_BLOCK * ld) {
    const count = min(ROW_BLOCK, rows - r);
    let j: usize = 0;
    for (; j + 64 <= ld; j += 64) {
      let a = f32x4.splat(0);
      let b = a;
      let c = a;
      let d = a;
      let from = x + j;
      for (let i = 0; i < count; ++i, from += ld) {
        a = f32x4.add(a, v128.load(from));
        b = f32x4.add(b, v128.load(from, 16));
        c = f32x4.add(c, v128.load(from, 32));
        d = f32x4.add(d, v128.load(from, 48));
      }
      const to = out + j;
      v128.store(to, f32x4.add(v128.load(to), a));
      v128.store(to, f32x4.add(v128.load(to, 16), b), 16);
      v128.store(to, f32x4.add(v128.load(to, 32), c), 32);
      v128.store(to, f32x4.add(v128.load(to, 48), d), 48);
    }
    for (; j < ld; j += 4) {
      let sum: f32 = 0;
      let from = x + j;
      for (let i = 0; i < count; ++i, from += ld) sum += load<f32>(from);
      store<f32>(out + j, load<f32>(out + j) + sum);
    }
  }
}
