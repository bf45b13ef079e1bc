import { roundsOnce } from './multiply-add';
import { outerSix, outerTile, packRows, storeTile } from './tile';

// k is cut into blocks that keep a panel of b in the first-level cache, m into blocks for the second level.
// The cuts also keep the sums short, which is what keeps rounding small.
const K_BLOCK: i32 = 256;
const M_BLOCK: i32 = 64;
/** Bytes of a tile [6][8]. */
const TILE_BYTES: usize = 192;

/** Copies four columns of four rows, rowStep bytes apart, to rows toStep bytes apart. */
// @ts-ignore: decorator
@inline
function transposeFour(from: usize, rowStep: usize, to: usize, toStep: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + rowStep);
  const c = v128.load(from + (rowStep << 1));
  const d = v128.load(from + 3 * rowStep);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  v128.store(to, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
  v128.store(to + toStep, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
  const ba = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const dc = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to + (toStep << 1), v128.shuffle<f32>(ba, dc, 0, 1, 4, 5));
  v128.store(to + 3 * toStep, v128.shuffle<f32>(ba, dc, 2, 3, 6, 7));
}

/** Copies four columns of two rows, rowStep bytes apart, to rows toStep bytes apart. */
// @ts-ignore: decorator
@inline
function transposeTwo(from: usize, rowStep: usize, to: usize, toStep: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + rowStep);
  const low = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const high = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  v128.store64_lane(to, low, 0);
  v128.store64_lane(to + toStep, low, 1);
  v128.store64_lane(to + (toStep << 1), high, 0);
  v128.store64_lane(to + 3 * toStep, high, 1);
}

/** Packs k columns of `rows` rows of a, 4 or 6, of which m are there (row i at a + i * rowStep, column j at a + j * colStep) into [k][rows]. */
function packA(a: usize, rowStep: usize, colStep: usize, m: i32, rows: i32, k: i32, to: usize): void {
  const step = (<usize>rows) << 2;
  if (m == rows && rowStep == 4) {
    for (let j = 0; j < k; ++j, a += colStep, to += step) {
      v128.store(to, v128.load(a));
      if (rows == 6) store<u64>(to, load<u64>(a, 16), 16);
    }
    return;
  }
  let j = 0;
  if (m == rows && colStep == 4) {
    for (; j + 4 <= k; j += 4, a += 16, to += step << 2) {
      transposeFour(a, rowStep, to, step);
      if (rows == 6) transposeTwo(a + (rowStep << 2), rowStep, to + 16, step);
    }
  }
  for (; j < k; ++j, a += colStep, to += step) {
    for (let i = 0; i < rows; ++i) {
      store<f32>(to + ((<usize>i) << 2), i < m ? load<f32>(a + <usize>i * rowStep) : 0);
    }
  }
}

// @ts-ignore: decorator
@inline
function rowsOfTile(left: i32): i32 {
  return roundsOnce() && left > 4 ? 6 : 4;
}

/** Packs k rows of b (row j at b + j * rowStep, its n columns colStep apart) into panels [ceil(n / 8)][k][8]. */
function packB(b: usize, rowStep: usize, colStep: usize, k: i32, n: i32, to: usize): void {
  const panelStep = (<usize>k) << 5;
  if (colStep == 4) {
    packRows(b, rowStep, k, n, to, panelStep);
    return;
  }
  for (let j = 0; j < n; j += 8, to += panelStep) {
    const width = min(8, n - j);
    let done = 0;
    if (width == 8 && rowStep == 4) {
      const from = b + <usize>j * colStep;
      for (; done + 4 <= k; done += 4) {
        const offset = (<usize>done) << 2;
        const at = to + ((<usize>done) << 5);
        transposeFour(from + offset, colStep, at, 32);
        transposeFour(from + offset + (colStep << 2), colStep, at + 16, 32);
      }
    }
    for (let i = 0; i < 8; ++i) {
      let from = b + <usize>(j + i) * colStep + <usize>done * rowStep;
      let at = to + ((<usize>i) << 2) + ((<usize>done) << 5);
      for (let p = done; p < k; ++p, from += rowStep, at += 32) store<f32>(at, i < width ? load<f32>(from) : 0);
    }
  }
}

/** Bytes that gemm needs at `scratch`. */
export function gemmScratchBytes(m: i32, n: i32, k: i32): usize {
  const depth = <usize>min(k, K_BLOCK);
  return TILE_BYTES + depth * ((<usize>((n + 7) >> 3) << 5) + (<usize>(M_BLOCK + 5) << 2));
}

/** out[m][n] = a b, with a given as [m][k], or [k][m] if transposeA, and b as [k][n], or [n][k] if transposeB. */
export function gemm(
  a: usize,
  b: usize,
  out: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
  scratch: usize,
): void {
  const aRow: usize = transposeA ? 4 : (<usize>k) << 2;
  const aCol: usize = transposeA ? (<usize>m) << 2 : 4;
  const bRow: usize = transposeB ? 4 : (<usize>n) << 2;
  const bCol: usize = transposeB ? (<usize>k) << 2 : 4;
  const ldc = (<usize>n) << 2;
  const packedA = scratch + TILE_BYTES;
  const packedB = packedA + (((<usize>min(k, K_BLOCK)) * (<usize>(M_BLOCK + 5))) << 2);
  for (let k0 = 0; k0 < k; k0 += K_BLOCK) {
    const depth = min(K_BLOCK, k - k0);
    const panelStep = (<usize>depth) << 5;
    packB(b + <usize>k0 * bRow, bRow, bCol, depth, n, packedB);
    for (let m0 = 0; m0 < m; m0 += M_BLOCK) {
      const height = min(M_BLOCK, m - m0);
      let at = packedA;
      for (let i = 0; i < height; ) {
        const rows = rowsOfTile(height - i);
        packA(a + <usize>(m0 + i) * aRow + <usize>k0 * aCol, aRow, aCol, min(rows, height - i), rows, depth, at);
        i += rows;
        at += (<usize>(rows * depth)) << 2;
      }
      let panel = packedB;
      for (let j = 0; j < n; j += 8, panel += panelStep) {
        at = packedA;
        let c = out + <usize>m0 * ldc + ((<usize>j) << 2);
        for (let i = 0; i < height; ) {
          const rows = rowsOfTile(height - i);
          const isWhole = k0 == 0 && height - i >= rows && n - j >= 8;
          const to = isWhole ? c : scratch;
          const toRow: usize = isWhole ? ldc : 32;
          if (rows == 6) outerSix(at, 24, depth, panel, to, toRow);
          else outerTile(at, 16, 0, 1, depth, panel, to, toRow);
          if (!isWhole) storeTile(scratch, c, ldc, min(rows, height - i), min(8, n - j), k0 > 0);
          i += rows;
          at += (<usize>(rows * depth)) << 2;
          c += <usize>rows * ldc;
        }
      }
    }
  }
}
